// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/loads.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"

namespace aio::orchestrator {
namespace {

// Arrivals are forgotten after about so many seconds: a few lives of a request
// on a slow device.
constexpr double kMemorySeconds = 60;
// Lives are a mean over about so many.
constexpr int kLivesMemory = 64;
// Who has said more than was expected goes on: lengths have long tails.
constexpr double kTail = 0.25;
// Of a request that somebody else has sent: what is left of it, and its
// context.
constexpr double kOthersTokens = 200;

}  // namespace

Loads::Loads(const Costs* costs)
    : costs_(*costs),
      models_(costs->devices),
      learned_(models_.size()),
      meters_(models_.size()),
      unseen_(costs_.variants.size()),
      residuals_(costs_.variants.size()) {
  for (const auto& device : costs_.devices) {
    arrivals_.emplace_back(device.size());
    lives_.emplace_back(device.size());
    seen_.emplace_back(device.size());
  }
  for (size_t d = 0; d < models_.size(); ++d) {
    if (models_[d].size() != 1 || !models_[d][0].learned) continue;
    learned_[d].emplace(models_[d][0].steps, models_[d][0].sequences_max);
  }
}

bool Loads::Knows(size_t variant) const {
  return variant < costs_.variants.size() && costs_.variants[variant];
}

void Loads::See(size_t variant, const core::Snapshot& view, size_t unseen) {
  if (!Knows(variant)) return;
  const VariantCost& at = *costs_.variants[variant];
  seen_[at.device][at.model] = {view.step_in_seconds, view.run_seconds,
                                view.prompt_tokens, view.turn_weight,
                                view.others};
  unseen_[variant] = unseen;
}

double Loads::RateOf(size_t device, size_t model, Time now) const {
  const Arrivals& a = arrivals_[device][model];
  return a.weight * std::exp(-Seconds(now - a.at) / kMemorySeconds) /
         kMemorySeconds;
}

std::vector<cost::ModelLoad> Loads::DeviceNow(size_t device, Time now) const {
  std::vector<cost::ModelLoad> models;
  for (size_t m = 0; m < models_[device].size(); ++m) {
    const ModelCost& known = models_[device][m];
    cost::ModelLoad load;
    load.steps = &known.steps;
    load.sequences_max = known.sequences_max;
    load.columns_max = known.columns_max;
    load.slowdown_max = known.slowdown_max;
    load.arrivals_per_second = RateOf(device, m, now);
    load.life_seconds = lives_[device][m].mean;
    load.step_in_seconds = seen_[device][m].step_in_seconds;
    load.run_seconds = seen_[device][m].run_seconds;
    load.turn_weight = seen_[device][m].turn_weight;
    models.push_back(std::move(load));
  }
  AddLoads(device, &models);
  return models;
}

// Of the prompt tokens that a backend still has to compute, those who came last
// have theirs; what it has not seen is there in full, and if it cannot tell,
// what has no answer yet.
void Loads::AddLoads(size_t device,
                     std::vector<cost::ModelLoad>* models) const {
  std::vector<int64_t> prompts;  // [model]
  for (const Seen& seen : seen_[device]) {
    prompts.push_back(seen.step_in_seconds < 0
                          ? std::numeric_limits<int64_t>::max()
                          : seen.prompt_tokens);
  }
  std::vector<size_t> unseen = unseen_;
  for (auto it = sent_.rbegin(); it != sent_.rend(); ++it) {
    const Entry& entry = it->second;
    if (entry.at.device != device) continue;
    const double said = entry.said->load(std::memory_order_relaxed);
    cost::Load load;
    load.tokens_left =
        std::max({1.0, entry.tokens - said, kTail * entry.tokens});
    load.coarse = entry.at.coarse;
    load.context_tokens = entry.prompt_tokens + said;
    if (unseen[entry.variant] > 0) {
      --unseen[entry.variant];
      load.prompt_tokens = entry.new_tokens;
    } else if (said == 0) {
      int64_t& left = prompts[entry.at.model];
      load.prompt_tokens =
          static_cast<int>(std::min<int64_t>(entry.new_tokens, left));
      left -= load.prompt_tokens;
    }
    load.prefill_seconds =
        entry.prefill_seconds * load.prompt_tokens / entry.new_tokens;
    (*models)[entry.at.model].loads.push_back(load);
  }
  for (size_t m = 0; m < models->size(); ++m) {
    std::vector<cost::Load>& loads = (*models)[m].loads;
    std::ranges::reverse(loads);
    // Of those that others have sent nothing is known but that they are there.
    const auto others = static_cast<size_t>(seen_[device][m].others);
    cost::Load other;
    other.tokens_left = other.context_tokens = kOthersTokens;
    loads.insert(loads.begin(), others, other);
  }
}

cost::Price Loads::PriceOf(size_t variant, const cost::Estimate& estimate,
                           Time now) const {
  CHECK(Knows(variant));
  const VariantCost& at = *costs_.variants[variant];
  cost::Ask ask;
  ask.model = at.model;
  ask.coarse = at.coarse;
  ask.cached_tokens = estimate.cached_tokens;
  ask.new_tokens = std::max(1, estimate.prompt_tokens - estimate.cached_tokens);
  ask.output_tokens = std::max(1.0, estimate.output_tokens);
  const auto device = DeviceNow(at.device, now);
  cost::Price price = cost::PriceOf(device, ask);
  const double ttft = residuals_[variant].ttft.Factor();
  const double token = residuals_[variant].token.Factor();
  const double before = price.system();
  for (double* seconds : {&price.prefill, &price.queue, &price.ttft}) {
    *seconds *= ttft;
  }
  for (double* seconds : {&price.step, &price.step_own, &price.token}) {
    *seconds *= token;
  }
  // What is felt by others is the device's time.
  if (before > 0) price.others *= price.system() / before;
  return price;
}

void Loads::Learn(size_t variant, const cost::Price& said, double ttft,
                  double token) {
  if (!Knows(variant) || learned_[costs_.variants[variant]->device]) return;
  residuals_[variant].ttft.Learn(said.ttft, ttft);
  residuals_[variant].token.Learn(said.token, token);
}

bool Loads::drifted(size_t variant) const {
  return Knows(variant) && (residuals_[variant].ttft.drifted() ||
                            residuals_[variant].token.drifted());
}

void Loads::Sent(size_t variant, uint64_t request,
                 const cost::Estimate& estimate,
                 std::shared_ptr<const std::atomic<int>> said, Time now) {
  if (!Knows(variant)) return;
  Entry entry;
  entry.variant = variant;
  entry.at = *costs_.variants[variant];
  entry.tokens = std::max(1.0, estimate.output_tokens);
  entry.prompt_tokens = estimate.prompt_tokens;
  entry.new_tokens =
      std::max(1, estimate.prompt_tokens - estimate.cached_tokens);
  const ModelCost& known = models_[entry.at.device][entry.at.model];
  cost::ModelLoad model;
  model.steps = &known.steps;
  model.columns_max = known.columns_max;
  entry.prefill_seconds = cost::PrefillSeconds(
      model, entry.at.coarse, estimate.cached_tokens, entry.new_tokens);
  entry.said = std::move(said);
  entry.sent = now;
  Arrivals& a = arrivals_[entry.at.device][entry.at.model];
  a.weight = a.weight * std::exp(-Seconds(now - a.at) / kMemorySeconds) + 1;
  a.at = now;
  Meter& meter = meters_[entry.at.device];
  meter.Add(1, ContextOf(entry), now);
  entry.request_seconds = meter.request_seconds;
  entry.context_seconds = meter.context_seconds;
  entry.first =
      learned_[entry.at.device] &&
      std::ranges::none_of(sent_, [&](const auto& other) {
        return other.second.at.device == entry.at.device &&
               other.second.said->load(std::memory_order_relaxed) == 0;
      });
  sent_[request] = std::move(entry);
}

std::vector<size_t> Loads::InFlight() const {
  std::vector<size_t> count(costs_.devices.size());
  for (const auto& [number, entry] : sent_) ++count[entry.at.device];
  return count;
}

void Loads::Meter::Add(double more_requests, double more_context, Time now) {
  const double seconds = Seconds(now - at);
  request_seconds += requests * seconds;
  context_seconds += context_tokens * seconds;
  requests += more_requests;
  context_tokens += more_context;
  at = now;
}

// Halfway through its answer.
double Loads::ContextOf(const Entry& entry) {
  return entry.prompt_tokens + 0.5 * entry.tokens;
}

void Loads::LearnSteps(const Entry& entry, const Went& went, Time now) {
  auto& learned = learned_[entry.at.device];
  const Meter& meter = meters_[entry.at.device];
  const double life = Seconds(now - entry.sent);
  if (!learned || life <= 0) return;
  const double others = seen_[entry.at.device][entry.at.model].others;
  learned->Learn(
      {(meter.request_seconds - entry.request_seconds) / life + others,
       (meter.context_seconds - entry.context_seconds) / life, went.token});
  if (entry.first) learned->LearnPrompt(entry.new_tokens, went.ttft);
  models_[entry.at.device][entry.at.model].steps = learned->Now();
}

void Loads::Ended(uint64_t request, const Went& went, Time now) {
  const auto it = sent_.find(request);
  if (it == sent_.end()) return;
  const Entry& entry = it->second;
  Lives& lives = lives_[entry.at.device][entry.at.model];
  lives.count = std::min(lives.count + 1, kLivesMemory);
  lives.mean += (Seconds(now - entry.sent) - lives.mean) / lives.count;
  meters_[entry.at.device].Add(-1, -ContextOf(entry), now);
  LearnSteps(entry, went, now);
  sent_.erase(it);
}

}  // namespace aio::orchestrator
