// SPDX-License-Identifier: Apache-2.0
#include "sim/simulation.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/random.h"
#include "orchestrator/orchestrator.h"
#include "policy/policies.h"
#include "sim/event_queue.h"

namespace aio::sim {
namespace {

constexpr Duration kBackOff = std::chrono::seconds(1);

// What became of one request.
struct Asked {
  core::Label intent = core::Label::kChat;
  int cancel_after = 0;
  Time at{};
  std::optional<Time> first;
  Time last{};
  int tokens = 0;
  std::string variant;
  bool gave_up = false;
};

class Run {
 public:
  explicit Run(SimulationOptions options)
      : options_(std::move(options)), workload_(options_.workload) {}

  Result<void> Build();
  Report Go();

 private:
  class Client;
  struct Tally {
    ReportRow row;
    std::vector<double> ttft, tpot, total;
    double quality = 0;
    int64_t judged = 0;
  };

  Result<void> AddVariants();
  core::Intent Sense(const core::Request& request);
  void AskNext();
  void Ask(Arrival arrival);
  void Ended(const std::string& id, const Asked& asked,
             const Result<core::Done>& done);
  void Count(Tally* tally, const Asked& asked, const Result<core::Done>& done);
  void Close(Tally* tally, double seconds) const;
  void AddFaults();
  void AddCeiling(Report* report) const;

  SimulationOptions options_;
  Workload workload_;
  Metrics metrics_;
  EventQueue events_;
  std::vector<std::shared_ptr<SimBackend>> backends_;
  std::map<std::string, size_t> device_of_;  // by variant
  orchestrator::Parts parts_;
  std::optional<orchestrator::Orchestrator> orchestrator_;
  std::map<std::string, core::Label> intents_;  // of requests under way
  std::map<std::string, Tally> tallies_;        // by variant; "" for all
  int ended_ = 0;
};

// Streams an answer, and gives up where it is to.
class Run::Client : public core::Sink {
 public:
  Client(Run* run, std::string id, Asked asked)
      : run_(*run), id_(std::move(id)), asked_(std::move(asked)) {}

  void OnStart(const core::Served& served) override {
    asked_.variant = served.variant;
  }
  void OnDelta(core::Delta) override {
    asked_.last = run_.events_.Now();
    if (!asked_.first) asked_.first = asked_.last;
    if (++asked_.tokens == asked_.cancel_after) {
      asked_.gave_up = true;
      run_.orchestrator_->Cancel(id_);
    }
  }
  void OnDone(Result<core::Done> done) override {
    run_.Ended(id_, asked_, done);
  }

 private:
  Run& run_;
  const std::string id_;
  Asked asked_;
};

Result<void> Run::AddVariants() {
  std::map<std::string, core::Variant> made;
  for (size_t d = 0; d < options_.devices.size(); ++d) {
    SimDevice& device = options_.devices[d];
    for (SimModel& model : device.models) {
      for (SimView& view : model.views) {
        const auto at = std::ranges::find(options_.variants, view.variant);
        if (at == options_.variants.end()) {
          return Error{ErrorCode::kInvalidArgument,
                       "no variant '" + view.variant + "'", "variants"};
        }
        view.number = static_cast<size_t>(at - options_.variants.begin());
        core::Variant& variant = made[view.variant];
        variant.name = view.variant;
        variant.context_tokens_max = model.context_tokens_max;
        const bool coarse =
            view.view != core::View::k8 && model.coarse_weight_bytes > 0;
        variant.bytes_per_token =
            coarse ? model.coarse_weight_bytes : model.weight_bytes;
        device_of_[view.variant] = d;
      }
    }
    backends_.push_back(std::make_shared<SimBackend>(
        device.models, device.options, &events_, &metrics_));
  }
  for (const std::string& name : options_.variants) {
    const auto it = made.find(name);
    if (it == made.end()) {
      return Error{ErrorCode::kInvalidArgument,
                   "no device has the variant '" + name + "'", "variants"};
    }
    it->second.backend = backends_[device_of_[name]];
    parts_.variants.push_back(it->second);
    tallies_[name].row.name = name;
  }
  return {};
}

Result<void> Run::Build() {
  RETURN_IF_ERROR(AddVariants());
  policy::Options rule;
  for (const core::Variant& v : parts_.variants) {
    rule.variants.push_back({v.name, v.bytes_per_token});
  }
  rule.small = options_.small;
  rule.large = options_.large;
  ASSIGN_OR_RETURN(parts_.policy, policy::Make(options_.policy, rule));
  parts_.executor = &events_;
  parts_.metrics = &metrics_;
  parts_.quality = options_.quality;
  parts_.random_seed = options_.seed;
  parts_.text_probe = [this](const core::Request& r) { return Sense(r); };
  orchestrator::Options limits;
  limits.requests_max = options_.requests_max;
  limits.peek_deadline = Duration(0);
  orchestrator_.emplace(parts_, limits);
  tallies_[""].row.name = "all";
  AddFaults();
  return {};
}

void Run::AddFaults() {
  for (const Fault& fault : options_.faults) {
    SimBackend* backend = backends_[fault.device].get();
    events_.PostAt(fault.when, [fault, backend] {
      switch (fault.what) {
        case Fault::What::kGone:
          return backend->SetGone(true);
        case Fault::What::kBack:
          return backend->SetGone(false);
        case Fault::What::kSpeed:
          return backend->SetSpeed(fault.speed);
      }
    });
  }
}

// Right as often as the probe is; wrong, it is as sure of another intent.
core::Intent Run::Sense(const core::Request& request) {
  core::Intent intent;
  intent.source = core::IntentSource::kText;
  const auto& sim = static_cast<const SimRequest&>(request);
  size_t label = static_cast<size_t>(intents_.at(request.id));
  const auto turn = static_cast<uint64_t>(sim.turn);
  if (RandomUnit(options_.seed, sim.conversation, turn) >=
      options_.probe_right) {
    const uint64_t other =
        RandomBits(options_.seed, sim.conversation ^ 1, turn);
    label = (label + 1 + other % (core::kLabels - 1)) % core::kLabels;
  }
  intent.probabilities.fill((1 - options_.probe_sure) / (core::kLabels - 1));
  intent.probabilities[label] = options_.probe_sure;
  return intent;
}

// The next arrival of the workload; of clients that wait for their answers, one
// that is free.
void Run::AskNext() {
  auto arrival = workload_.Next();
  if (!arrival) return;
  if (!arrival->when) return Ask(*std::move(arrival));
  const Time when = *arrival->when;
  events_.PostAt(when, [this, arrival = *std::move(arrival)] {
    AskNext();
    Ask(arrival);
  });
}

void Run::Ask(Arrival arrival) {
  Asked asked;
  asked.intent = arrival.intent;
  asked.cancel_after = arrival.cancel_after;
  asked.at = events_.Now();
  const std::string& id = arrival.request->id;
  intents_[id] = arrival.intent;
  orchestrator_->Handle(arrival.request,
                        std::make_shared<Client>(this, id, std::move(asked)));
}

void Run::Ended(const std::string& id, const Asked& asked,
                const Result<core::Done>& done) {
  intents_.erase(id);
  Count(&tallies_.at(""), asked, done);
  if (!asked.variant.empty()) {
    Count(&tallies_.at(asked.variant), asked, done);
  }
  ++ended_;
  constexpr int kNow = 512;
  if (options_.progress && ended_ % kNow == 0) options_.progress(ended_);
  if (workload_.options().clients == 0) return;
  // Who is turned away tries again later.
  const bool away = !done && done.error().code == ErrorCode::kOverloaded;
  events_.PostAt(events_.Now() + (away ? kBackOff : Duration(0)),
                 [this] { AskNext(); });
}

void Run::Count(Tally* tally, const Asked& asked,
                const Result<core::Done>& done) {
  ReportRow& row = tally->row;
  ++row.requests;
  row.output_tokens += asked.tokens;
  if (asked.first) {
    tally->ttft.push_back(Seconds(*asked.first - asked.at));
    if (asked.tokens > 1) {
      tally->tpot.push_back(Seconds(asked.last - *asked.first) /
                            (asked.tokens - 1));
    }
  }
  if (!done) {
    const ErrorCode code = done.error().code;
    ++(asked.gave_up                    ? row.cancelled
       : code == ErrorCode::kOverloaded ? row.rejected
                                        : row.failed);
    return;
  }
  ++row.finished;
  row.prompt_tokens += done->usage.prompt_tokens;
  row.cached_tokens += done->usage.cached_tokens;
  row.drafted_tokens += done->usage.drafted_tokens;
  row.accepted_tokens += done->usage.accepted_tokens;
  tally->total.push_back(Seconds(asked.last - asked.at));
  const auto known = options_.quality.find(asked.variant);
  if (known == options_.quality.end()) return;
  const auto& quality = known->second[static_cast<size_t>(asked.intent)];
  if (!quality) return;
  tally->quality += quality->value;
  ++tally->judged;
}

void Run::Close(Tally* tally, double seconds) const {
  ReportRow& row = tally->row;
  row.ttft = SpreadOf(std::move(tally->ttft));
  row.tpot = SpreadOf(std::move(tally->tpot));
  row.total = SpreadOf(std::move(tally->total));
  if (seconds > 0) {
    row.tokens_per_second = static_cast<double>(row.output_tokens) / seconds;
  }
  if (tally->judged > 0) {
    row.quality = tally->quality / static_cast<double>(tally->judged);
  }
}

Report Run::Go() {
  const int at_once = std::max(1, workload_.options().clients);
  for (int i = 0; i < at_once; ++i) AskNext();
  while (events_.Step()) {
  }
  Report report;
  report.workload = workload_.options().name;
  report.policy = options_.policy;
  report.seed = options_.seed;
  report.events = events_.ran();
  report.seconds = Seconds(events_.Now() - Time());
  for (size_t d = 0; d < backends_.size(); ++d) {
    const SimBackend::Work& work = backends_[d]->work();
    DeviceRow row{options_.devices[d].name,
                  options_.devices[d].calibrated,
                  work.busy_seconds,
                  0,
                  work.steps,
                  work.columns,
                  work.paused};
    if (report.seconds > 0)
      row.utilisation = work.busy_seconds / report.seconds;
    report.devices.push_back(std::move(row));
  }
  Tally& all = tallies_.at("");
  for (const std::string& name : options_.variants) {
    Tally& tally = tallies_.at(name);
    const SimBackend& backend = *backends_[device_of_.at(name)];
    const SimBackend::Work& work = backend.work(name);
    Close(&tally, report.seconds);
    ReportRow& row = tally.row;
    row.busy_seconds = work.busy_seconds;
    row.weight_bytes = work.weight_bytes;
    row.kv_bytes = work.kv_bytes;
    row.queueing = SpreadOf(backend.queueing(name));
    if (report.seconds > 0) row.utilisation = row.busy_seconds / report.seconds;
    if (all.row.requests > 0) {
      row.share = static_cast<double>(row.requests) /
                  static_cast<double>(all.row.requests);
    }
    all.row.busy_seconds += row.busy_seconds;
    all.row.weight_bytes += row.weight_bytes;
    all.row.kv_bytes += row.kv_bytes;
    report.variants.push_back(row);
  }
  Close(&all, report.seconds);
  all.row.share = 1;
  report.all = all.row;
  AddCeiling(&report);
  return report;
}

// Between the variants that read least and most, at the share that the first
// one had.
void Run::AddCeiling(Report* report) const {
  const SimModel *small = nullptr, *large = nullptr;
  double share = 0;
  for (const SimDevice& device : options_.devices) {
    for (const SimModel& model : device.models) {
      if (small == nullptr || model.weight_bytes < small->weight_bytes) {
        small = &model;
      }
      if (large == nullptr || model.weight_bytes > large->weight_bytes) {
        large = &model;
      }
    }
  }
  if (small == large) return;
  for (const ReportRow& row : report->variants) {
    for (const SimView& view : small->views) {
      if (view.variant == row.name) share += row.share;
    }
  }
  report->ceiling_share = share;
  report->ceiling = RoutingCeiling(small->cost, large->cost, share, 1);
}

}  // namespace

double RoutingCeiling(const StepCost& small, const StepCost& large,
                      double share, int columns) {
  const StepSize step = {.columns = columns, .rows = columns};
  const double s = small.Seconds(step), l = large.Seconds(step);
  return l / (share * s + (1 - share) * l);
}

Result<Report> Simulate(SimulationOptions options) {
  Run run(std::move(options));
  RETURN_IF_ERROR(run.Build());
  return run.Go();
}

}  // namespace aio::sim
