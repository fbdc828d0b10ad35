// SPDX-License-Identifier: Apache-2.0
#include "sim/simulation.h"

#include <prometheus/counter.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/manual_executor.h"
#include "base/random.h"
#include "orchestrator/orchestrator.h"
#include "policy/policies.h"
#include "sim/clients.h"

namespace aio::sim {
namespace {

class Run {
 public:
  explicit Run(SimulationOptions options) : options_(std::move(options)) {}

  Result<void> Build();
  Report Go();

 private:
  Result<void> AddViews(SimModel* model,
                        std::map<std::string, core::Variant>* made);
  Result<void> AddDevices();
  void AddModelProbe();
  core::Label TruthOf(const core::Request& request) const;
  uint64_t SeedOf(const core::Request& request) const;
  void AddFaults();
  void AddDeviceRows(Report* report) const;
  void AddWork(ReportRow* row, double seconds) const;
  void AddCeiling(Report* report) const;

  SimulationOptions options_;
  Metrics metrics_;
  ManualExecutor events_;
  std::vector<std::shared_ptr<SimBackend>> backends_;
  std::map<std::string, size_t> device_of_;  // by variant
  orchestrator::Parts parts_;
  std::optional<orchestrator::Orchestrator> orchestrator_;
  std::optional<Clients> clients_;
  int64_t asked_ = 0;  // the model probe
  double asking_ = 0;  // seconds that requests have waited for it
};

Error NoVariant(const std::string& what) {
  return {ErrorCode::kInvalidArgument, what, "variants"};
}

// What a view of a model is to a policy.
core::Variant VariantOf(const SimModel& model, const SimView& view) {
  core::Variant variant;
  variant.name = view.variant;
  variant.context_tokens_max = model.context_tokens_max;
  const bool coarse =
      view.view != core::View::k8 && model.coarse_weight_bytes > 0;
  variant.bytes_per_token =
      coarse ? model.coarse_weight_bytes : model.weight_bytes;
  return variant;
}

Result<void> Run::AddViews(SimModel* model,
                           std::map<std::string, core::Variant>* made) {
  for (SimView& view : model->views) {
    const auto at = std::ranges::find(options_.variants, view.variant);
    if (at == options_.variants.end()) {
      return NoVariant("no variant '" + view.variant + "'");
    }
    view.number = static_cast<size_t>(at - options_.variants.begin());
    (*made)[view.variant] = VariantOf(*model, view);
    device_of_[view.variant] = backends_.size();
  }
  return {};
}

// What the orchestrator knows of a model's steps, as the scheduler.
orchestrator::ModelCost CostOf(const SimModel& model) {
  orchestrator::ModelCost cost;
  cost.steps = model.cost;
  if (model.known.fine) cost.steps.table = *model.known.fine;
  if (model.known.coarse) cost.steps.coarse = model.known.coarse;
  cost.sequences_max = model.sched.sequences_max;
  cost.columns_max = model.sched.columns_max;
  cost.slowdown_max = model.sched.slowdown_max;
  return cost;
}

Result<void> Run::AddDevices() {
  std::map<std::string, core::Variant> made;
  std::map<std::string, orchestrator::VariantCost> costs;
  for (SimDevice& device : options_.devices) {
    auto& models = parts_.costs.devices.emplace_back();
    for (SimModel& model : device.models) {
      RETURN_IF_ERROR(AddViews(&model, &made));
      for (const SimView& view : model.views) {
        costs[view.variant] = {backends_.size(), models.size(),
                               view.view != core::View::k8};
        made[view.variant].device_price = device.price;
      }
      models.push_back(CostOf(model));
    }
    SimBackend::Options options = device.options;
    if (options_.model_probe && !options.scores) {
      options.scores = [](const SimRequest&, const auto& labels) {
        return std::vector<float>(labels.size());
      };
    }
    backends_.push_back(std::make_shared<SimBackend>(
        device.models, std::move(options), &events_, &metrics_));
  }
  for (const std::string& name : options_.variants) {
    const auto it = made.find(name);
    if (it == made.end()) {
      return NoVariant("no device has the variant '" + name + "'");
    }
    it->second.backend = backends_[device_of_[name]];
    parts_.variants.push_back(it->second);
    parts_.costs.variants.push_back(costs.at(name));
  }
  return {};
}

Result<void> Run::Build() {
  RETURN_IF_ERROR(AddDevices());
  ASSIGN_OR_RETURN(parts_.policy,
                   policy::Make(options_.policy, RuleOf(options_)));
  parts_.decision_log = options_.decision_log;
  parts_.executor = &events_;
  parts_.metrics = &metrics_;
  parts_.quality = options_.quality;
  parts_.random_seed = options_.seed;
  parts_.text_probe = [this](const core::Request& r) {
    if (options_.oracle) return core::Intent::Pinned(TruthOf(r));
    core::Intent said = Sensed(options_.text_probe, TruthOf(r), SeedOf(r));
    said.source = core::IntentSource::kText;
    return said;
  };
  if (options_.oracle) {
    parts_.length_probe = [](const core::Request& r) {
      return static_cast<const SimRequest&>(r).OutputLength(0);
    };
  }
  orchestrator::Options limits;
  if (options_.model_probe) {
    if (device_of_.count(options_.model_probe->variant) == 0) {
      return NoVariant("no variant '" + options_.model_probe->variant +
                       "' to be the model probe");
    }
    AddModelProbe();
    limits.probe_deadline = options_.model_probe->deadline;
    limits.probe_deadline_share = options_.model_probe->deadline_share;
  }
  limits.requests_max = options_.requests_max;
  limits.peek_deadline = Duration(0);
  orchestrator_.emplace(parts_, limits);
  Clients::Options clients;
  clients.workload = options_.workload;
  clients.variants = options_.variants;
  clients.quality = options_.quality;
  clients.progress = options_.progress;
  clients_.emplace(std::move(clients), &events_, &*orchestrator_);
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

core::Label Run::TruthOf(const core::Request& request) const {
  return clients_->IntentOf(request.id);
}

// The same for a turn of a conversation, whoever is asked and when.
uint64_t Run::SeedOf(const core::Request& request) const {
  const auto& sim = static_cast<const SimRequest&>(request);
  return RandomBits(options_.seed, sim.conversation,
                    static_cast<uint64_t>(sim.turn));
}

// As probe/model_probe.h asks a backend; of its answer only the price is real.
void Run::AddModelProbe() {
  const SimModelProbe& probe = *options_.model_probe;
  SimBackend* backend = backends_[device_of_.at(probe.variant)].get();
  parts_.model_probe_variant = probe.variant;
  parts_.model_probe_tokens_max = probe.tokens_max;
  parts_.model_probe = [this, backend](
                           std::shared_ptr<const core::Request> request,
                           std::shared_ptr<const core::Prepared>, Time deadline,
                           orchestrator::ModelProbeDone done) {
    ++asked_;
    core::ScoreRequest score;
    score.request = request;
    score.variant = options_.model_probe->variant;
    score.labels.assign(core::kLabelNames.begin(), core::kLabelNames.end());
    score.tokens_max = options_.model_probe->tokens_max;
    const core::Label truth = TruthOf(*request);
    const uint64_t seed = Mix(SeedOf(*request));
    const Time begun = events_.Now();
    backend->Score(
        std::move(score), deadline,
        [this, truth, seed, begun, done](const Result<core::Scores>& scores) {
          asking_ += Seconds(events_.Now() - begun);
          if (!scores) return done(scores.error());
          core::Intent said = Sensed(options_.model_probe->bins, truth, seed);
          said.source = core::IntentSource::kModel;
          done(said);
        });
  };
}

Report Run::Go() {
  clients_->Start([] {});
  while (events_.RunNext()) {
  }
  Report report;
  report.workload = options_.workload.name;
  report.policy = options_.policy;
  report.seed = options_.seed;
  report.events = static_cast<int64_t>(events_.posted());
  report.seconds = clients_->seconds();
  report.model_probes = asked_;
  report.model_probe_seconds = asking_;
  report.model_probes_late = static_cast<int64_t>(
      metrics_
          .Counter("aio_probe_total", "Requests by who told their intent",
                   {{"state", "timed_out"}})
          ->Value());
  report.variants = clients_->Rows();
  report.all = std::move(report.variants.back());
  report.variants.pop_back();
  std::vector<double> queueing;
  for (ReportRow& row : report.variants) {
    AddWork(&row, report.seconds);
    report.all.busy_seconds += row.busy_seconds;
    report.all.utilisation +=
        row.utilisation / static_cast<double>(backends_.size());
    report.all.weight_bytes += row.weight_bytes;
    report.all.kv_bytes += row.kv_bytes;
    const auto& waited = backends_[device_of_.at(row.name)]->queueing(row.name);
    queueing.insert(queueing.end(), waited.begin(), waited.end());
  }
  report.all.queueing = SpreadOf(std::move(queueing));
  AddDeviceRows(&report);
  AddCeiling(&report);
  return report;
}

void Run::AddWork(ReportRow* row, double seconds) const {
  const SimBackend& backend = *backends_[device_of_.at(row->name)];
  const SimBackend::Work& work = backend.work(row->name);
  row->busy_seconds = work.busy_seconds;
  row->weight_bytes = work.weight_bytes;
  row->kv_bytes = work.kv_bytes;
  row->queueing = SpreadOf(backend.queueing(row->name));
  if (seconds > 0) row->utilisation = row->busy_seconds / seconds;
}

void Run::AddDeviceRows(Report* report) const {
  for (size_t d = 0; d < backends_.size(); ++d) {
    const SimBackend::Work& work = backends_[d]->work();
    DeviceRow row;
    row.name = options_.devices[d].name;
    row.errors = options_.devices[d].errors;
    row.busy_seconds = work.busy_seconds;
    row.steps = work.steps;
    row.columns = work.columns;
    row.paused = work.paused;
    if (report->seconds > 0) {
      row.utilisation = work.busy_seconds / report->seconds;
    }
    report->devices.push_back(std::move(row));
  }
}

// Between the models that read least and most, at the share that the first one
// had.
void Run::AddCeiling(Report* report) const {
  const SimModel *small = nullptr, *large = nullptr;
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
      if (view.variant == row.name) report->ceiling_share += row.share;
    }
  }
  report->ceiling =
      RoutingCeiling(small->cost, large->cost, report->ceiling_share, 1);
}

}  // namespace

policy::Options RuleOf(const SimulationOptions& options) {
  std::map<std::string, int64_t> bytes;
  for (const SimDevice& device : options.devices) {
    for (const SimModel& model : device.models) {
      for (const SimView& view : model.views) {
        bytes[view.variant] = VariantOf(model, view).bytes_per_token;
      }
    }
  }
  policy::Options rule;
  for (const std::string& name : options.variants) {
    rule.variants.push_back({name, bytes[name]});
  }
  rule.small = options.small;
  rule.large = options.large;
  rule.quality_floor = options.quality_floor;
  rule.objective = options.objective;
  return rule;
}

double RoutingCeiling(const cost::StepCost& small, const cost::StepCost& large,
                      double share, int columns) {
  const cost::StepSize step = {.columns = columns};
  const double s = small.Seconds(step), l = large.Seconds(step);
  return l / (share * s + (1 - share) * l);
}

Result<Report> Simulate(SimulationOptions options) {
  Run run(std::move(options));
  RETURN_IF_ERROR(run.Build());
  return run.Go();
}

}  // namespace aio::sim
