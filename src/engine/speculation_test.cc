// SPDX-License-Identifier: Apache-2.0
//
// Speculation of the engine: on is off, byte for byte, whatever is drafted; and
// what it counts.
#include "sched/speculation.h"

#include <gtest/gtest.h>

#include <ostream>

#include "base/random.h"
#include "engine/engine_fixture.h"

namespace aio::engine {
namespace {

using core::Strategy;
using sched::Draft;
using sched::Drafter;
using sched::MakeDrafter;

// Knows what HashForward's greedy text will be (of nested weights at 8 bits),
// or does not, by a script of how many tokens of each draft are right.
class Toy : public Drafter {
 public:
  Toy(const HashForward::Options& model, std::vector<int> right, int length)
      : model_(model), right_(std::move(right)), length_(length) {}
  Draft Propose(std::span<const int32_t> tokens, int most) override {
    std::vector<int32_t> text(tokens.begin(), tokens.end());
    Draft draft;
    const int right = right_[calls_++ % right_.size()];
    for (int i = 0; i < std::min(most, length_); ++i) {
      const auto logits = HashForward::Expected(
          model_, model_.nested ? HashForward::In(text, 8) : text);
      auto next = static_cast<int32_t>(
          std::max_element(logits.begin(), logits.end()) - logits.begin());
      if (i >= right) next = (next + 1) % 60;
      draft.tokens.push_back(next);
      text.push_back(next);
    }
    return draft;
  }

 private:
  HashForward::Options model_;
  std::vector<int> right_;
  int length_;
  size_t calls_ = 0;
};

// Any tokens at all, ends of texts among them.
class Noise : public Drafter {
 public:
  explicit Noise(uint64_t seed) : seed_(seed) {}
  Draft Propose(std::span<const int32_t>, int most) override {
    Draft draft;
    const uint64_t count = RandomBits(seed_, 0, calls_) % 9;
    for (uint64_t i = 0; i < std::min<uint64_t>(most, count); ++i) {
      draft.tokens.push_back(
          static_cast<int32_t>(RandomBits(seed_, calls_, i + 1) % 64));
    }
    ++calls_;
    return draft;
  }

 private:
  uint64_t seed_;
  uint64_t calls_ = 1;
};

class SpeculationTest : public EngineTest {
 protected:
  MakeDrafter ToyOf(std::vector<int> right, int length) {
    return [this, right, length] {
      return std::make_unique<Toy>(small_, right, length);
    };
  }
  std::shared_ptr<Answer> AskGreedy(std::vector<int32_t> prompt, int tokens) {
    request_ = Ask("r");
    request_->max_tokens = tokens;
    request_->sampling.temperature = 0;
    return Start(request_, std::move(prompt), "small", Strategy::kLookup);
  }
  std::shared_ptr<core::Request> request_;
};

TEST_F(SpeculationTest, CountsAreExact) {
  tokenizer_->endless = true;
  constexpr int kTokens = 40, kLength = 4;
  for (const std::vector<int>& right :
       {std::vector{0}, std::vector{kLength}, std::vector{kLength, 0},
        std::vector{2, 1, 3}}) {
    SCOPED_TRACE(testing::PrintToString(right));
    speculation_.drafter = ToyOf(right, kLength);
    Make();
    const double steps = Metric("aio_engine_steps_total{variant=\"small\"}");
    const double columns =
        Metric("aio_engine_columns_total{variant=\"small\"}");
    const auto answer = AskGreedy({1, 2, 3}, kTokens);
    Finish();
    ASSERT_TRUE(answer->ok());
    EXPECT_EQ(answer->text[0], Expected(*request_, {1, 2, 3}));
    // The prompt's step brings the first token, each other one what was right
    // of its draft and one more.
    int want_steps = 1, drafted = 0, accepted = 0;
    size_t calls = 0;
    for (int tokens = 1; tokens < kTokens; ++tokens, ++want_steps) {
      const int draft = std::min(kLength, kTokens - tokens - 1);
      if (draft == 0) continue;
      const int kept = std::min(draft, right[calls++ % right.size()]);
      drafted += draft;
      accepted += kept;
      tokens += kept;
    }
    const core::Usage& usage = (*answer->done)->usage;
    EXPECT_EQ(usage.completion_tokens, kTokens);
    EXPECT_EQ(usage.drafted_tokens, drafted);
    EXPECT_EQ(usage.accepted_tokens, accepted);
    EXPECT_EQ(Metric("aio_engine_steps_total{variant=\"small\"}") - steps,
              want_steps);
    EXPECT_EQ(Metric("aio_engine_columns_total{variant=\"small\"}") - columns,
              3 + want_steps - 1 + drafted);
    EXPECT_EQ(Metric("aio_kv_pages_free{variant=\"small\"}"), small_.pages);
  }
}

TEST_F(SpeculationTest, WhoDoesNotAskGetsNoneWithoutAStepTable) {
  speculation_.drafter = ToyOf({4}, 4);
  Make();
  for (const Strategy strategy : {Strategy::kAuto, Strategy::kPlain}) {
    const auto answer = Start(Ask("r"), {1, 2, 3}, "small", strategy);
    Finish();
    EXPECT_EQ((*answer->done)->usage.drafted_tokens, 0);
  }
}

TEST_F(SpeculationTest, DraftsStopAtTheEndOfTheContext) {
  tokenizer_->endless = true;
  speculation_.drafter = ToyOf({9}, 9);
  small_.context = 50;
  Make(small_);
  const std::vector<int32_t> prompt(45, 4);
  const auto answer = AskGreedy(prompt, 40);
  Finish();
  ASSERT_TRUE(answer->ok());
  EXPECT_EQ((*answer->done)->usage.completion_tokens, 5);
  EXPECT_EQ(answer->text[0], Expected(*request_, prompt));
}

// With a step table the budget decides: here a second column costs as much as
// the first, and drafts die out whatever they are worth.
TEST_F(SpeculationTest, WhereColumnsAreDearNothingIsDrafted) {
  tokenizer_->endless = true;
  speculation_.drafter = ToyOf({4}, 4);
  sched::Options sched;
  sched.step_table.emplace();
  for (int n = 1; n <= 32; ++n) {
    sched.step_table->columns.push_back(n);
    sched.step_table->seconds.push_back(n * 1e-3);
  }
  Make({}, sched);
  auto answer = Start(Ask("r"), {1, 2, 3});
  Finish();
  EXPECT_LE((*answer->done)->usage.drafted_tokens, 1) << "but to look again";
  const std::string labels =
      "{intent=\"unknown\",strategy=\"lookup\",variant=\"small\"}";
  const std::string gained = "aio_speculation_gained_seconds" + labels;
  const double before = Metric(gained);
  // And where they are free, as many as fit.
  for (double& s : sched.step_table->seconds) s = 1e-3;
  Make({}, sched);
  request_ = Ask("r");
  request_->sampling.temperature = 0;
  answer = Start(request_, {1, 2, 3});
  Finish();
  EXPECT_EQ((*answer->done)->usage.drafted_tokens, 31);
  EXPECT_EQ((*answer->done)->usage.accepted_tokens, 31);
  EXPECT_NEAR(Metric(gained) - before, 31e-3, 1e-9);
  EXPECT_EQ(Metric("aio_speculation_accepted_tokens_total" + labels), 31);
}

// What the draft model says is what the large one says: all is kept, also where
// tokens are drawn, and those before them count.
TEST_F(SpeculationTest, ADraftModelReadsTheTextAndSaysFourTokensAStep) {
  tokenizer_->endless = true;
  large_ = {};
  draft_ = "small";
  Make();
  const std::vector<int32_t> prompt(50, 7);  // more than a round may read
  for (const float temperature : {0.0f, 1.3f}) {
    for (const float penalty : {1.0f, 1.3f}) {
      request_ = Ask("r");
      request_->sampling.temperature = temperature;
      request_->sampling.repetition_penalty = penalty;
      request_->sampling.frequency_penalty = penalty - 1;
      const auto answer = Start(request_, prompt, "large", Strategy::kDraft);
      Finish();
      ASSERT_TRUE(answer->ok());
      EXPECT_EQ(answer->text[0], Expected(*request_, prompt));
      const core::Usage& usage = (*answer->done)->usage;
      EXPECT_GE(usage.drafted_tokens, 28);
      EXPECT_EQ(usage.accepted_tokens, usage.drafted_tokens);
    }
  }
  EXPECT_EQ(Metric("aio_kv_pages_free{variant=\"small\"}"), small_.pages);
  EXPECT_EQ(Metric("aio_kv_pages_free{variant=\"large\"}"), large_.pages);
}

TEST_F(SpeculationTest, WhoAsksForADraftModelThatIsNotThereIsTold) {
  Make();
  const auto answer = Start(Ask("r"), {1}, "small", Strategy::kDraft);
  Finish();
  ASSERT_TRUE(answer->done && !*answer->done);
  EXPECT_EQ(answer->done->error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(answer->done->error().param, "aio.speculation");
}

// ---- On is off --------------------------------------------------------------

// One engine full of random requests, most with drafts of some kind, some
// cancelled on the way.
class OnIsOff : public SpeculationTest {
 protected:
  int Random(int n) {
    return static_cast<int>(RandomBits(seed_, 7, draws_++) %
                            static_cast<uint64_t>(n));
  }
  std::shared_ptr<core::Request> RandomRequest(int id) {
    auto r = std::make_shared<core::Request>();
    r->id = "r" + std::to_string(id);
    r->max_tokens = 1 + Random(60);
    r->choices = Random(5) == 0 ? 2 : 1;
    core::Sampling& s = r->sampling;
    s.temperature =
        Random(3) == 0 ? 0.0f : 0.2f * static_cast<float>(Random(6));
    s.top_k = Random(3) == 0 ? 1 + Random(8) : 0;
    s.top_p = Random(3) == 0 ? 0.7f : 1.0f;
    s.min_p = Random(4) == 0 ? 0.1f : 0.0f;
    s.repetition_penalty = Random(4) == 0 ? 1.2f : 1.0f;
    s.presence_penalty = Random(4) == 0 ? 0.5f : 0.0f;
    s.frequency_penalty = Random(4) == 0 ? -0.3f : 0.0f;
    s.seed = RandomBits(seed_, 8, static_cast<uint64_t>(id));
    s.logprobs = r->choices == 1 && Random(3) == 0;
    s.top_logprobs = s.logprobs ? Random(3) : 0;
    if (Random(3) == 0) r->stop = {"01", "2"};
    return r;
  }
  // What an answer may begin with: its own text, as far as some token.
  std::vector<int32_t> RandomGiven(const core::Request& request,
                                   const std::vector<int32_t>& prompt,
                                   const std::string& variant) {
    std::vector<int32_t> given;
    const std::string text = Expected(request, prompt, 0, nullptr, variant);
    for (const char c : text) given.push_back(c - '0');
    for (int more = Random(9); more > 0; --more) given.push_back(Random(64));
    if (Random(2) == 0 && !given.empty()) {
      given[static_cast<size_t>(Random(static_cast<int>(given.size())))] =
          Random(64);
    }
    return given;
  }
  MakeDrafter RandomDrafter() {
    switch (Random(4)) {
      case 0:
        return ToyOf({Random(9), Random(9)}, 1 + Random(9));
      case 1:
        return [this, n = 0]() mutable {
          return std::make_unique<Noise>(seed_ * 1000 + (++n));
        };
      default:
        return {};  // lookup
    }
  }
  void Round(uint64_t seed);

  uint64_t seed_ = 0, draws_ = 0;
  int cases_ = 0, drafted_ = 0, accepted_ = 0;
};

void OnIsOff::Round(uint64_t seed) {
  seed_ = seed;
  draws_ = 0;
  HashForward::Options model;
  // Few letters say the same things again, many hardly ever.
  model.vocabulary = Random(2) == 0 ? 3 : 64;
  model.seed = seed;
  model.pages = 4 + Random(12);
  model.columns = 16 + Random(48);
  model.nested = Random(2) == 0;
  sched::Options sched;
  sched.sequences_max = 1 + Random(6);
  sched.prefix_cache = Random(4) != 0;
  speculation_ = {};
  speculation_.draft_max = 1 + Random(15);
  speculation_.drafts_max = 1 + Random(20);
  speculation_.model_draft_max = 1 + Random(9);
  speculation_.drafter = RandomDrafter();
  // The large one says what the small one does, or anything else.
  large_ = model;
  large_.seed += static_cast<uint64_t>(Random(2));
  large_.pages = 4 + Random(12);
  const std::vector<std::string> views =
      model.nested ? std::vector<std::string>{"", "@4", "@auto"}
                   : std::vector<std::string>{""};
  const auto random_view = [&] {
    return views[static_cast<size_t>(Random(static_cast<int>(views.size())))];
  };
  draft_ = Random(3) == 0 ? "" : "small" + random_view();
  Make(model, sched);
  struct Case {
    std::shared_ptr<core::Request> request;
    std::string variant;
    std::vector<int32_t> prompt;
    std::shared_ptr<Answer> answer;
  };
  std::vector<Case> cases;
  for (int i = 0; i < 1 + Random(8); ++i) {
    Case c;
    c.request = RandomRequest(i);
    for (int n = 1 + Random(66); n > 0; --n) c.prompt.push_back(Random(3));
    const bool large = Random(2) == 0;
    c.variant = (large ? "large" : "small") + random_view();
    const Strategy strategy = Random(5) == 0 ? Strategy::kPlain
                              : large && !draft_.empty() && Random(2) == 0
                                  ? Strategy::kDraft
                                  : Strategy::kLookup;
    given_.clear();
    if (Random(4) == 0) given_ = RandomGiven(*c.request, c.prompt, c.variant);
    c.answer = Start(c.request, c.prompt, c.variant, strategy);
    for (int n = Random(20); n > 0; --n) engine_->Step();
    if (Random(8) == 0) {
      engine_->Cancel(c.request->id);
      continue;
    }
    cases.push_back(std::move(c));
  }
  Finish();
  for (Case& c : cases) {
    SCOPED_TRACE(c.request->id);
    ASSERT_TRUE(c.answer->ok());
    if (c.variant.ends_with("@auto")) continue;  // depends on the others
    for (int choice = 0; choice < c.request->choices; ++choice) {
      std::vector<core::TokenLogprob> logprobs;
      ASSERT_EQ(c.answer->text[choice],
                Expected(*c.request, c.prompt, choice, &logprobs, c.variant));
      if (!c.request->sampling.logprobs) continue;
      ASSERT_EQ(c.answer->logprobs.size(), logprobs.size());
      for (size_t i = 0; i < logprobs.size(); ++i) {
        ASSERT_EQ(c.answer->logprobs[i].id, logprobs[i].id);
        ASSERT_EQ(c.answer->logprobs[i].logprob, logprobs[i].logprob);
        ASSERT_EQ(c.answer->logprobs[i].top.size(), logprobs[i].top.size());
      }
    }
    const core::Usage& usage = (*c.answer->done)->usage;
    drafted_ += usage.drafted_tokens;
    accepted_ += usage.accepted_tokens;
    ++cases_;
  }
  ASSERT_EQ(Metric("aio_kv_pages_free{variant=\"small\"}"), model.pages);
  ASSERT_EQ(Metric("aio_kv_pages_free{variant=\"large\"}"), large_.pages);
}

TEST_F(OnIsOff, ByteForByteWhateverIsDrafted) {
  for (uint64_t seed = 1; seed <= 2000 && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Round(seed);
  }
  EXPECT_GT(cases_, 4500);
  EXPECT_GT(drafted_, 50000);
  EXPECT_GT(accepted_, 10000);
  EXPECT_GT(drafted_ - accepted_, 10000);
  const auto by_model = [&](const std::string& what) {
    double sum = 0;
    for (const std::string view : {"", "@4"}) {
      sum +=
          Metric("aio_speculation_" + what + "_tokens_total{intent=\"" +
                 "unknown\",strategy=\"draft\",variant=\"large" + view + "\"}");
    }
    return sum;
  };
  EXPECT_GT(by_model("drafted"), 5000);
  EXPECT_GT(by_model("accepted"), 1000);
  const std::string given =
      "_tokens_total{intent=\"unknown\",strategy=\"given\",variant=\"small\"}";
  EXPECT_GT(Metric("aio_speculation_accepted" + given), 1000);
  EXPECT_GT(Metric("aio_speculation_drafted" + given),
            Metric("aio_speculation_accepted" + given) + 1000);
  EXPECT_GT(Metric("aio_engine_paused_total{variant=\"small\"}"), 50);
}

}  // namespace
}  // namespace aio::engine
