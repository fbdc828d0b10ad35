// SPDX-License-Identifier: Apache-2.0
//
// The simulator against times worked out by hand, and what must hold of every
// run.
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/manual_executor.h"
#include "core/echo_backend.h"
#include "policy/policies.h"
#include "sim/clients.h"
#include "sim/simulation.h"

namespace aio::sim {
namespace {

// A step of n columns takes `first` + (n - 1) * `each`.
cost::StepTable Table(double first, double each) {
  cost::StepTable table;
  for (int n = 1; n <= 64; ++n) {
    table.columns.push_back(n);
    table.seconds.push_back(first + (n - 1) * each);
  }
  table.prefill_seconds_per_token = each;
  return table;
}

SimModel ModelOf(const std::string& variant, double first, double each) {
  SimModel model;
  model.views = {{variant}};
  model.cost.table = Table(first, each);
  model.sched.pages = 256;
  model.sched.columns_max = 512;
  model.context_tokens_max = 4096;
  model.weight_bytes = static_cast<int64_t>(first * 1e12);
  model.kv_bytes_per_token = 1000;
  return model;
}

struct Answer : core::Sink {
  explicit Answer(const ManualExecutor* events) : events_(*events) {}
  void OnStart(const core::Served&) override { started = true; }
  void OnDelta(core::Delta) override {
    EXPECT_TRUE(started && !done);
    at.push_back(Seconds(events_.Now() - Time()));
  }
  void OnDone(Result<core::Done> result) override {
    EXPECT_FALSE(done.has_value()) << "OnDone twice";
    done = std::move(result);
  }
  const ManualExecutor& events_;
  bool started = false;
  std::vector<double> at;  // seconds of each token
  std::optional<Result<core::Done>> done;
};

class SimBackendTest : public testing::Test {
 protected:
  void Make(std::vector<SimModel> models, SimBackend::Options options = {}) {
    backend_ = std::make_unique<SimBackend>(std::move(models), options,
                                            &events_, &metrics_);
  }
  std::shared_ptr<SimRequest> Ask(const std::string& id, int prompt,
                                  int output) {
    auto r = std::make_shared<SimRequest>();
    r->id = id;
    r->conversation = std::hash<std::string>()(id);
    r->prompt_length = prompt;
    r->output_lengths = {output};
    return r;
  }
  std::shared_ptr<Answer> Start(
      std::shared_ptr<SimRequest> request, const std::string& variant = "m",
      core::Strategy strategy = core::Strategy::kPlain) {
    auto answer = std::make_shared<Answer>(&events_);
    core::Plan plan;
    plan.variant = variant;
    plan.strategy = strategy;
    backend_->Start(request, plan, answer);
    requests_.push_back(std::move(request));
    return answer;
  }
  void Run() {
    while (events_.RunNext()) {
    }
  }
  ManualExecutor events_;
  Metrics metrics_;
  std::unique_ptr<SimBackend> backend_;
  std::vector<std::shared_ptr<SimRequest>> requests_;
};

TEST(ManualExecutorTest, TimeGoesForwardAndTiesRunInOrder) {
  ManualExecutor events;
  std::string order;
  const auto at = [&](int seconds, char c) {
    events.PostAt(Time() + std::chrono::seconds(seconds),
                  [&order, c] { order += c; });
  };
  at(2, 'c');
  at(1, 'a');
  at(1, 'b');
  events.PostAt(Time() + std::chrono::seconds(3), [&] {
    order += 'd';
    events.PostAt(Time(), [&] { order += 'e'; });  // late: now
  });
  while (events.RunNext()) {
  }
  EXPECT_EQ(order, "abcde");
  EXPECT_EQ(Seconds(events.Now() - Time()), 3);
}

// A prompt of 5 in one step of 5 columns, then a step a token: 14, 24, 34 ms.
TEST_F(SimBackendTest, OneRequestTakesWhatItsStepsTake) {
  Make({ModelOf("m", 0.010, 0.001)});
  const auto a = Start(Ask("a", 5, 3));
  Run();
  ASSERT_TRUE(a->done && *a->done);
  ASSERT_EQ(a->at.size(), 3u);
  EXPECT_NEAR(a->at[0], 0.014, 1e-9);
  EXPECT_NEAR(a->at[1], 0.024, 1e-9);
  EXPECT_NEAR(a->at[2], 0.034, 1e-9);
  EXPECT_EQ((*a->done)->usage.completion_tokens, 3);
  EXPECT_EQ((*a->done)->usage.weight_bytes_read, 3 * 10'000'000'000);
  EXPECT_EQ((*a->done)->finish[0], core::FinishReason::kStop);
  EXPECT_EQ(backend_->work().steps, 3);
  EXPECT_NEAR(backend_->work().busy_seconds, 0.034, 1e-9);
}

// The second comes in the middle of the first step, waits for its end, and
// joins: 14 ms, then 4 + 1 columns (14 ms), then two columns (11 ms).
TEST_F(SimBackendTest, ASecondRequestJoinsAtTheNextStep) {
  Make({ModelOf("m", 0.010, 0.001)});
  const auto a = Start(Ask("a", 5, 3));
  std::shared_ptr<Answer> b;
  events_.PostAt(Time() + std::chrono::milliseconds(3),
                 [&] { b = Start(Ask("b", 4, 2)); });
  Run();
  ASSERT_EQ(a->at.size(), 3u);
  ASSERT_EQ(b->at.size(), 2u);
  EXPECT_NEAR(a->at[0], 0.014, 1e-9);
  EXPECT_NEAR(a->at[1], 0.028, 1e-9);
  EXPECT_NEAR(b->at[0], 0.028, 1e-9);
  EXPECT_NEAR(a->at[2], 0.039, 1e-9);
  EXPECT_NEAR(b->at[1], 0.039, 1e-9);
}

TEST_F(SimBackendTest, AStepHasAFloorAndAPriceForContext) {
  SimModel model = ModelOf("m", 0.001, 0);
  model.cost.table.kv_seconds_per_context_token = 1e-5;
  model.cost.host_seconds = 0.02;
  Make({model}, {.request_seconds = 0.1});
  const auto a = Start(Ask("a", 100, 2));
  Run();
  // Contexts of 100 and 101 tokens.
  EXPECT_NEAR(a->at[0], 0.1 + 0.02 + 0.00100, 1e-8);
  EXPECT_NEAR(a->at[1] - a->at[0], 0.02 + 0.00101, 1e-8);
}

TEST_F(SimBackendTest, DecodingIsPaddedToTheCapturedSizes) {
  SimModel model = ModelOf("m", 0.010, 0.001);
  model.cost.sizes = {4, 8};
  Make({model});
  const auto a = Start(Ask("a", 5, 2));
  Run();
  EXPECT_NEAR(a->at[0], 0.014, 1e-9) << "a prompt is not";
  EXPECT_NEAR(a->at[1] - a->at[0], 0.013, 1e-9);
}

// Two models share the device by slices of 80 ms. Large's step of 200 ms is cut
// in three; small comes during the first and begins level with it.
TEST_F(SimBackendTest, ModelsTakeTurns) {
  Make({ModelOf("m", 0.010, 0), ModelOf("large", 0.200, 0)});
  const auto large = Start(Ask("l", 1, 1), "large");
  std::shared_ptr<Answer> small;
  events_.PostAt(Time() + std::chrono::milliseconds(1),
                 [&] { small = Start(Ask("s", 1, 20), "m"); });
  Run();
  // Large to 80, small to 90, large to 170 (it has had 160), small to 240 (it
  // counts 160 too), large to its end at 280.
  EXPECT_NEAR(small->at[0], 0.090, 1e-9);
  EXPECT_NEAR(small->at[7], 0.240, 1e-9);
  EXPECT_NEAR(large->at[0], 0.280, 1e-9);
  EXPECT_NEAR(small->at[19], 0.400, 1e-9);
  EXPECT_NEAR(backend_->work("m").busy_seconds, 0.2, 1e-9);
  EXPECT_NEAR(backend_->work("large").busy_seconds, 0.2, 1e-9);
}

TEST_F(SimBackendTest, TheNextTurnFindsTheTextOfTheFirst) {
  Make({ModelOf("m", 0.010, 0.001)});
  auto first = Ask("a", 60, 10);
  Start(first);
  Run();
  auto next = Ask("b", 80, 1);
  next->conversation = first->conversation;
  std::optional<core::PromptSize> size;
  backend_->Peek(next, "m", {}, [&](Result<core::PromptSize> s) { size = *s; });
  EXPECT_EQ(size->tokens, 80);
  EXPECT_EQ(size->cached_tokens, 64);  // full pages
  const auto b = Start(next);
  Run();
  // All but the last token, which was said and never computed.
  EXPECT_EQ((*b->done)->usage.cached_tokens, 69);
}

// A draft model that is always right says four tokens for a step of each.
TEST_F(SimBackendTest, ADraftModelIsPaidInItsOwnSteps) {
  SimModel large = ModelOf("large", 0.100, 0);
  large.draft = "m";
  large.draft_acceptance = 1;
  Make({ModelOf("m", 0.010, 0), large});
  const auto a = Start(Ask("a", 8, 41), "large", core::Strategy::kDraft);
  Run();
  ASSERT_EQ(a->at.size(), 41u);
  const core::Usage& usage = (*a->done)->usage;
  EXPECT_GT(usage.drafted_tokens, 30);
  EXPECT_EQ(usage.accepted_tokens, usage.drafted_tokens);
  const double steps = static_cast<double>(backend_->work().steps);
  EXPECT_NEAR(a->at[40], steps * 0.1 + usage.drafted_tokens * 0.01, 0.021);
}

TEST_F(SimBackendTest, LookupFindsWhatARecordedTextRepeats) {
  Make({ModelOf("m", 0.010, 0.0001)});
  auto request = Ask("a", 40, 60);
  for (int i = 0; i < 10; ++i) request->recorded.push_back(100 + i);
  const auto a = Start(request, "m", core::Strategy::kLookup);
  Run();
  const core::Usage& usage = (*a->done)->usage;
  EXPECT_EQ(usage.completion_tokens, 60);
  EXPECT_GT(usage.accepted_tokens, 40);
  EXPECT_LT(backend_->work().steps, 20);
}

TEST_F(SimBackendTest, ViewsShareStepsAndReadEachPlaneOnce) {
  SimModel model = ModelOf("m", 0.010, 0);
  model.cost.coarse = Table(0.006, 0);
  model.views = {{"m@8"}, {"m@4", core::View::k4}};
  model.coarse_weight_bytes = model.weight_bytes / 2;
  Make({model});
  const auto four = Start(Ask("a", 1, 2), "m@4");
  Run();
  EXPECT_NEAR(four->at[1], 0.012, 1e-9);
  EXPECT_EQ((*four->done)->usage.weight_bytes_read, model.weight_bytes);
  const auto again = Start(Ask("b", 1, 1), "m@4");
  const auto eight = Start(Ask("c", 1, 1), "m@8");
  Run();
  EXPECT_NEAR(again->at[0] - 0.012, 0.010, 1e-9);
  EXPECT_EQ((*again->done)->usage.weight_bytes_read, model.weight_bytes / 4);
  EXPECT_EQ((*eight->done)->usage.weight_bytes_read,
            model.weight_bytes / 4 * 3);
}

// A probe costs the prompt and four tokens of a suffix, and leaves the prompt
// to whoever starts it.
TEST_F(SimBackendTest, AProbeIsAPrefillThatItsRequestFinds) {
  SimBackend::Options options;
  options.scores = [](const SimRequest& r, const auto& labels) {
    EXPECT_EQ(r.id, "a");
    return std::vector<float>(labels.size(), 0.5f);
  };
  Make({ModelOf("m", 0.010, 0.001)}, options);
  const auto request = Ask("a", 60, 2);
  core::ScoreRequest ask;
  ask.request = request;
  ask.variant = "m";
  ask.labels = {"code", "math"};
  std::optional<core::Scores> scores;
  double at = 0;
  backend_->Score(ask, Time::max(), [&](Result<core::Scores> s) {
    scores = *s;
    at = Seconds(events_.Now() - Time());
  });
  Run();
  ASSERT_TRUE(scores);
  EXPECT_EQ(scores->logits, (std::vector<float>{0.5f, 0.5f}));
  EXPECT_EQ(scores->tokens, 64);
  EXPECT_TRUE(scores->kept);
  EXPECT_NEAR(at, 0.010 + 63 * 0.001, 1e-9);
  const auto answer = Start(request);
  Run();
  EXPECT_EQ((*answer->done)->usage.cached_tokens, 59);
  // One that is too late is told so, and its request is not in the way.
  std::optional<Result<core::Scores>> late;
  backend_->Score(ask, events_.Now() + std::chrono::milliseconds(1),
                  [&](Result<core::Scores> s) { late = std::move(s); });
  Run();
  ASSERT_TRUE(late && !*late);
  EXPECT_EQ(late->error().code, ErrorCode::kDeadline);
  EXPECT_EQ(backend_->View("m").pages_free, 256);
}

TEST_F(SimBackendTest, WhoIsCancelledOrLosesTheBackendIsToldOnce) {
  Make({ModelOf("m", 0.010, 0)});
  const auto a = Start(Ask("a", 1, 100));
  const auto b = Start(Ask("b", 1, 100));
  events_.PostAt(Time() + std::chrono::milliseconds(55),
                 [&] { backend_->Cancel("a"); });
  events_.PostAt(Time() + std::chrono::milliseconds(75),
                 [&] { backend_->SetGone(true); });
  std::shared_ptr<Answer> c, d;
  events_.PostAt(Time() + std::chrono::milliseconds(80),
                 [&] { c = Start(Ask("c", 1, 1)); });
  events_.PostAt(Time() + std::chrono::milliseconds(90), [&] {
    EXPECT_FALSE(backend_->View("m").healthy);
    backend_->SetGone(false);
    d = Start(Ask("d", 1, 1));
  });
  Run();
  EXPECT_EQ(a->done->error().code, ErrorCode::kCancelled);
  EXPECT_EQ(a->at.size(), 5u);
  EXPECT_EQ(b->done->error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(b->at.size(), 7u);
  EXPECT_EQ(c->done->error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(d->done && *d->done);
  EXPECT_EQ(backend_->View("m").pages_free, 256);
}

// ---- Whole simulations ------------------------------------------------------

SimulationOptions TwoModels() {
  SimulationOptions o;
  o.devices.resize(1);
  o.devices[0].name = "cpu0";
  o.devices[0].models = {ModelOf("small", 0.002, 0.0001),
                         ModelOf("large", 0.010, 0.0005)};
  o.variants = {"small", "large"};
  o.workload = *NamedWorkload("mixed");
  o.workload.divide = 16;
  o.workload.requests = 500;
  o.workload.rate = 8;
  return o;
}

TEST(SimulationTest, TheSameOptionsGiveTheSameBytes) {
  const auto run = [](uint64_t seed) {
    SimulationOptions o = TwoModels();
    o.seed = o.workload.seed = seed;
    const auto report = Simulate(std::move(o));
    EXPECT_TRUE(report);
    return boost::json::serialize(ReportJson(*report));
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST(SimulationTest, EveryRequestEndsOnceAndTimeIsTheSumOfSteps) {
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8}) {
    for (const int clients : {0, 7}) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      SimulationOptions o = TwoModels();
      o.seed = o.workload.seed = seed;
      o.workload.clients = clients;
      o.policy = seed % 2 == 0 ? "random" : "paper";
      o.requests_max = seed % 3 == 0 ? 5 : 1000;
      const auto report = Simulate(std::move(o));
      ASSERT_TRUE(report);
      const ReportRow& all = report->all;
      EXPECT_EQ(all.requests, 500);
      EXPECT_EQ(all.finished + all.cancelled + all.rejected + all.failed, 500);
      EXPECT_EQ(all.failed, 0);
      EXPECT_GT(all.cancelled, 10);
      int64_t sum = 0, tokens = 0;
      double busy = 0;
      for (const ReportRow& row : report->variants) {
        sum += row.requests;
        tokens += row.output_tokens;
        busy += row.busy_seconds;
      }
      EXPECT_EQ(tokens, all.output_tokens);
      EXPECT_LE(sum, 500);
      EXPECT_NEAR(busy, report->devices[0].busy_seconds, 1e-6);
      EXPECT_LE(busy, report->seconds + 1e-9);
    }
  }
}

TEST(SimulationTest, NothingIsLostWhenADeviceGoesAndComesBack) {
  SimulationOptions o = TwoModels();
  o.devices.push_back(o.devices[0]);
  o.devices[0].models.pop_back();  // small here, large there
  o.devices[1].models.erase(o.devices[1].models.begin());
  o.devices[1].name = "cpu1";
  const auto at = [](double seconds) { return Time() + FromSeconds(seconds); };
  o.faults = {{at(5), 0, Fault::What::kGone},
              {at(15), 0, Fault::What::kBack},
              {at(20), 1, Fault::What::kSpeed, 0.25},
              {at(40), 1, Fault::What::kSpeed, 1}};
  const auto report = Simulate(std::move(o));
  ASSERT_TRUE(report);
  const ReportRow& all = report->all;
  EXPECT_EQ(all.finished + all.cancelled + all.rejected + all.failed, 500);
  EXPECT_LT(all.failed, 10) << "those that were being answered";
  EXPECT_GT(report->variants[0].finished, 50);
}

// 400 days: a request every three hours.
TEST(SimulationTest, AYearDoesNotDrift) {
  SimulationOptions o = TwoModels();
  o.devices[0].models = {ModelOf("small", 0.1, 0)};
  o.variants = {"small"};
  o.policy = "static:small";
  o.workload = {};
  o.workload.trace = {{0, 1, 1}};
  for (int i = 1; i < 3200; ++i) {
    o.workload.trace.push_back({i * 10800.0, 1, 1});
  }
  o.workload.requests = 3200;
  const auto report = Simulate(std::move(o));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->all.finished, 3200);
  EXPECT_NEAR(report->seconds, 3199 * 10800.0 + 0.1, 1e-6);
  EXPECT_NEAR(report->all.ttft.p50, 0.1, 1e-9);
  EXPECT_NEAR(report->all.ttft.p99, 0.1, 1e-9);
}

TEST(SimulationTest, ClosedLoopKeepsSoManyUnderWay) {
  SimulationOptions o = TwoModels();
  o.devices[0].models = {ModelOf("small", 0.010, 0)};
  o.variants = {"small"};
  o.policy = "static:small";
  o.workload = {};
  o.workload.kinds = {Kind{}};
  o.workload.kinds[0].prompt = {1, 0, 1, 1};
  o.workload.kinds[0].output = {10, 0, 10, 10};
  o.workload.clients = 4;
  o.workload.requests = 400;
  const auto report = Simulate(std::move(o));
  ASSERT_TRUE(report);
  // Four tokens a step of 10 ms.
  EXPECT_NEAR(report->all.tokens_per_second, 400, 1e-6);
  EXPECT_NEAR(report->all.ttft.p50, 0.010, 1e-9);
  EXPECT_NEAR(report->devices[0].utilisation, 1, 1e-9);
}

// Where four clients are at work and one request is left, three find none: who
// of them comes last may find nobody here.
TEST(ClientsTest, MayGoAsSoonAsAllRequestsHaveEnded) {
  SetLogLevel(LogLevel::kOff);
  ManualExecutor events;
  Metrics metrics;
  orchestrator::Parts parts;
  parts.executor = &events;
  parts.metrics = &metrics;
  core::Variant echo;
  echo.name = "m";
  echo.backend = std::make_shared<core::EchoBackend>(&events);
  parts.variants = {echo};
  policy::Options rule;
  rule.variants = {{"m", 1}};
  parts.policy = *policy::Make("static:m", rule);
  orchestrator::Orchestrator orchestrator(parts, {});
  Clients::Options options;
  options.workload.kinds = {Kind{}};
  options.workload.clients = 4;
  options.workload.requests = 10;
  options.variants = {"m"};
  auto clients = std::make_unique<Clients>(options, &events, &orchestrator);
  std::vector<ReportRow> rows;
  clients->Start([&] {
    events.Post([&] {
      rows = clients->Rows();
      clients.reset();
    });
  });
  while (events.RunNext()) {
  }
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].requests, 10);
}

// A text probe that never knows: all goes to the large one, unless a model that
// does is asked, which the small one pays for.
TEST(SimulationTest, TheModelProbeIsAskedWhereTheTextProbeIsUnsure) {
  SimulationOptions o = TwoModels();
  o.workload = {};
  o.workload.kinds = {Kind{}, Kind{}};
  o.workload.kinds[0].intent = core::Label::kCode;
  o.workload.kinds[0].share = 3;
  o.workload.rate = 0.5;
  o.workload.requests = 200;
  o.text_probe = {{1, 0.3, 0.3}};
  const auto blind = Simulate(o);
  ASSERT_TRUE(blind) << blind.error().message;
  EXPECT_EQ(blind->variants[0].requests, 0);
  EXPECT_EQ(blind->model_probes, 0);
  o.model_probe = SimModelProbe{.variant = "small", .bins = {{1, 0.98, 1}}};
  const auto seen = Simulate(o);
  ASSERT_TRUE(seen) << seen.error().message;
  EXPECT_EQ(seen->model_probes, 200);
  EXPECT_NEAR(seen->variants[0].share, 0.75, 0.08);
  EXPECT_EQ(seen->all.finished, 200);
  EXPECT_EQ(seen->model_probes_late, 0);
  o.model_probe->deadline = std::chrono::microseconds(1);
  const auto late = Simulate(o);
  ASSERT_TRUE(late) << late.error().message;
  EXPECT_EQ(late->model_probes_late, 200);
  EXPECT_EQ(late->variants[0].requests, 0);
  EXPECT_EQ(late->all.finished, 200);
  o.model_probe->variant = "none";
  EXPECT_EQ(Simulate(o).error().code, ErrorCode::kInvalidArgument);
}

TEST(SimulationTest, FiguresCarryTheErrorsOfTheirDevice) {
  SimulationOptions o = TwoModels();
  o.workload.requests = 20;
  EXPECT_NE(ReportTable(*Simulate(o)).find("uncalibrated"), std::string::npos);
  o.devices[0].errors = FigureErrors{.tokens_per_second = 0.02,
                                     .total = 0.03,
                                     .ttft_p50 = 0.04,
                                     .ttft_p99 = 0.05,
                                     .tpot_p50 = 0.06};
  const std::string table = ReportTable(*Simulate(o));
  EXPECT_NE(table.find("off by up to"), std::string::npos);
  EXPECT_NE(table.find(" 2% "), std::string::npos);
  EXPECT_NE(table.find(" 4%/?/5% "), std::string::npos);
  EXPECT_NE(table.find(" 6%/?/? "), std::string::npos);
  EXPECT_EQ(table.find("uncalibrated"), std::string::npos);
}

// A turn of 80 ms ends with the layer that is under way then: of 4 layers of
// 50 ms, the second.
TEST_F(SimBackendTest, ATurnEndsBetweenLayers) {
  SimModel large = ModelOf("large", 0.200, 0);
  large.layers = 4;
  Make({ModelOf("m", 0.010, 0), large});
  Start(Ask("l", 1, 1), "large");
  std::shared_ptr<Answer> small;
  events_.PostAt(Time() + std::chrono::milliseconds(1),
                 [&] { small = Start(Ask("s", 1, 1), "m"); });
  Run();
  EXPECT_NEAR(small->at[0], 0.110, 1e-9);
}

// What the scheduler goes by may be wrong; what steps take is not.
TEST_F(SimBackendTest, TheSchedulerMayKnowOtherTables) {
  SimModel model = ModelOf("m", 0.010, 0.001);
  const auto first_token = [&](const std::optional<cost::StepTable>& known) {
    model.known = {known, {}};
    Make({model});
    Start(Ask("a", 1, 50));
    std::shared_ptr<Answer> b;
    events_.PostAt(events_.Now() + std::chrono::milliseconds(25),
                   [&] { b = Start(Ask("b", 64, 1)); });
    const Time begin = events_.Now();
    Run();
    return b->at[0] - Seconds(begin - Time());
  };
  // If columns are said to be free, all come at once, in the step that begins
  // at 30 ms and takes 74; else few beside one that decodes.
  EXPECT_NEAR(first_token(Table(0.010, 0)), 0.104, 1e-9);
  EXPECT_GT(first_token({}), 0.15);
}

TEST(SimulationTest, TheCeilingIsTheHarmonicMeanOfTheSteps) {
  const cost::StepCost small = {.table = Table(0.0114, 0)};
  const cost::StepCost large = {.table = Table(0.0159, 0)};
  // The 1.24x of 70/30 traffic where 7B costs 1.39x of 1B.
  EXPECT_NEAR(RoutingCeiling(small, large, 0.7, 1), 1.247, 0.001);
  EXPECT_EQ(RoutingCeiling(small, large, 0, 1), 1);
}

}  // namespace
}  // namespace aio::sim
