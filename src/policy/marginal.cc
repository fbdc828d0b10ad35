// SPDX-License-Identifier: Apache-2.0
#include "policy/marginal.h"

#include <algorithm>
#include <utility>

#include "policy/choice.h"

namespace aio::policy {
namespace {

using Quality = std::optional<double>;

const Quality& QualityOf(const Candidate& c, std::optional<size_t> label) {
  return label ? c.quality_of[*label] : c.quality;
}

// Of the requests, those that go to any replica.
constexpr double kExplored = 0.02;

// The best that a fit candidate is expected to reach.
Quality BestQuality(const Input& input, std::optional<size_t> label) {
  Quality best;
  for (const Candidate& c : input.candidates) {
    const Quality& quality = QualityOf(c, label);
    if (!c.unfit.empty() || !quality) continue;
    best = std::max(best.value_or(*quality), *quality);
  }
  return best;
}

}  // namespace

// Of seconds only the device's own have its price: who waits, waits as long.
double MarginalPolicy::CostOf(const cost::Price& price,
                              double device_price) const {
  const Weights& w = options_.weights;
  return w.system * (device_price * price.system()) + w.own * price.own() +
         w.others * price.others;
}

// Of a variant whose steps nobody knows, what requests have taken so far.
double MarginalPolicy::CostOf(const Candidate& candidate) const {
  const cost::Estimate& e = candidate.estimate;
  if (e.price) return CostOf(*e.price, candidate.device_price);
  const Weights& w = options_.weights;
  return (w.system * candidate.device_price + w.own) * e.seconds;
}

// The probe's variant is a candidate, unless a log says what cannot be.
double MarginalPolicy::CostOf(const Input& input, const AskPrice& ask) const {
  const auto at = static_cast<size_t>(ask.candidate);
  const bool known = ask.candidate >= 0 && at < input.candidates.size();
  return CostOf(ask.price, known ? input.candidates[at].device_price : 1);
}

std::vector<bool> MarginalPolicy::GoodEnough(
    const Input& input, std::optional<size_t> label) const {
  const Quality best = BestQuality(input, label);
  if (!best) return {};
  const double least =
      input.quality_floor.value_or(options_.quality_floor) * *best;
  std::vector<bool> good;
  for (const Candidate& c : input.candidates) {
    const Quality& quality = QualityOf(c, label);
    good.push_back(c.unfit.empty() && quality && *quality >= least);
  }
  return good;
}

int MarginalPolicy::Cheapest(const Input& input,
                             std::optional<size_t> label) const {
  const std::vector<bool> good = GoodEnough(input, label);
  bool awake = false;
  for (size_t i = 0; i < good.size(); ++i) {
    awake = awake || (good[i] && !input.candidates[i].asleep);
  }
  int chosen = -1;
  double cost = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    const Candidate& c = input.candidates[i];
    if (!good[i] || (options_.plan && awake && c.asleep)) continue;
    const double mine = CostOf(c);
    if (chosen >= 0 && mine >= cost) continue;
    chosen = static_cast<int>(i);
    cost = mine;
  }
  return chosen;
}

// Of each label, weighted by its probability: what its own choice costs less,
// and, where it is better, what asking wrong answers again would cost.
double MarginalPolicy::ValueOfKnowing(const Input& input, int chosen) const {
  const Candidate& now = input.candidates[static_cast<size_t>(chosen)];
  double value = 0;
  for (size_t label = 0; label < core::kLabels; ++label) {
    const int other = Cheapest(input, label);
    if (other < 0 || other == chosen) continue;
    const Candidate& then = input.candidates[static_cast<size_t>(other)];
    double saved = CostOf(now) - CostOf(then);
    if (saved < 0) {  // it costs more, to be right more often
      const double better =
          *then.quality_of[label] - now.quality_of[label].value_or(0);
      saved = std::max(0.0, better) * CostOf(then);
    }
    value += input.intent.probabilities[label] * saved;
  }
  return value;
}

bool MarginalPolicy::WorthAsking(const Input& input, int chosen) const {
  if (!input.can_ask || !input.ask) return false;
  // What was computed for the probe is a part of that variant's answer.
  const auto same = [&](const Candidate& a, const Candidate& b) {
    return a.variant == b.variant && a.replica == b.replica;
  };
  const auto asked = static_cast<size_t>(input.ask->candidate);
  const bool free = input.ask->reused && asked < input.candidates.size() &&
                    same(input.candidates[asked],
                         input.candidates[static_cast<size_t>(chosen)]);
  return !free && ValueOfKnowing(input, chosen) > CostOf(input, *input.ask);
}

// Which replica of the chosen variant: where it and those there wait least.
// What the devices give for it does not count here: they are there anyway, and
// those who come together would all go to one. A few go to any, or a replica
// that was slow once would never be seen to be well again.
int MarginalPolicy::ReplicaOf(const Input& input, int chosen) const {
  if (chosen < 0 || input.candidates[chosen].replica.empty()) return chosen;
  const Candidate& like = input.candidates[static_cast<size_t>(chosen)];
  const bool explores = input.random < kExplored;
  std::vector<int> best;
  double least = 0;
  for (size_t i = 0; i < input.candidates.size(); ++i) {
    const Candidate& c = input.candidates[i];
    if (!c.unfit.empty() || !Alike(c, like)) continue;
    const cost::Estimate& e = c.estimate;
    const double waits = e.price ? e.price->own() + e.price->others : e.seconds;
    if (!explores && !best.empty() && waits > least) continue;
    if (!explores && !best.empty() && waits < least) best.clear();
    best.push_back(static_cast<int>(i));
    least = waits;
  }
  if (best.empty()) return chosen;
  if (!explores) return Drawn(input, best);
  Input drawn;
  drawn.random = input.random / kExplored;
  return Drawn(drawn, best);
}

Decision MarginalPolicy::Decide(const Input& input) const {
  const int chosen = ReplicaOf(input, Cheapest(input, std::nullopt));
  if (chosen < 0) {
    Decision decision = options_.fallback->Decide(input);
    decision.reason = "no_quality_table: " + decision.reason;
    if (decision.candidate < 0) return decision;
    decision.good.resize(input.candidates.size());
    decision.good[static_cast<size_t>(decision.candidate)] = true;
    return decision;
  }
  if (WorthAsking(input, chosen)) {
    Decision decision =
        Choose(input, chosen, "worth asking the model", "may be chosen yet");
    decision.ask = true;
    decision.candidate = -1;
    return decision;
  }
  const Candidate& c = input.candidates[static_cast<size_t>(chosen)];
  std::string reason = "quality " + Short(*c.quality) + " of " +
                       Short(*BestQuality(input, std::nullopt)) + ", costs " +
                       Short(CostOf(c)) + " s";
  if (c.estimate.price) {
    const cost::Price& p = *c.estimate.price;
    reason += " (device " + Short(p.system());
    if (c.device_price != 1) reason += " at " + Short(c.device_price);
    reason += ", own " + Short(p.own()) + ", others " + Short(p.others) + ")";
  }
  if (c.thinking) {
    reason += ", thinking " + std::string(core::Name(*c.thinking));
  }
  Decision decision = Choose(input, chosen, std::move(reason), "");
  decision.good = GoodEnough(input, std::nullopt);
  for (size_t i = 0; i < input.candidates.size(); ++i) {
    if (!decision.why[i].empty()) continue;
    decision.why[i] = !decision.good[i] ? "not good enough"
                      : options_.plan && input.candidates[i].asleep
                          ? "better left asleep"
                          : "costs more";
  }
  return decision;
}

}  // namespace aio::policy
