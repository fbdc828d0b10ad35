// SPDX-License-Identifier: Apache-2.0
#include "cli/probe_regret.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/check.h"
#include "base/random.h"
#include "cost/learner.h"
#include "orchestrator/candidates.h"
#include "policy/static.h"

namespace aio::cli {
namespace {

struct Choice {
  int variant = -1;  // -1: nobody can answer
  bool asked = false;
};
using Chooser = std::function<Choice(const RoutedPrompt&)>;

// The policy with the orchestrator's own candidates. Nothing is learned, so
// that the order of the prompts does not matter.
class Router {
 public:
  explicit Router(const RoutingSetup& setup)
      : setup_(setup),
        learner_(Names(setup)),
        ledger_(setup.variants.size()),
        nobody_drained_(setup.variants.size()) {}

  policy::Input InputOf(const RoutedPrompt& prompt,
                        const core::Intent& intent) {
    orchestrator::Flight flight;
    flight.request = prompt.request;
    flight.intent = intent;
    for (const auto& size : prompt.sizes) {
      orchestrator::Flight::Option option;
      option.variant = flight.options.size();
      option.peeked = size.has_value();
      if (size) option.size = *size;
      if (!size) option.dropped = size.error();
      flight.options.push_back(std::move(option));
    }
    policy::Input input = orchestrator::Candidates(
        setup_.variants, learner_, nobody_drained_, &ledger_, &flight);
    for (policy::Candidate& c : input.candidates) {
      c.quality = core::ExpectedQuality(setup_.quality, c.variant, intent);
    }
    return input;
  }

  policy::Decision Decide(const RoutedPrompt& prompt,
                          const core::Intent& intent, bool can_ask) {
    policy::Input input = InputOf(prompt, intent);
    input.can_ask = can_ask;
    return setup_.policy->Decide(input);
  }

  Choice With(const RoutedPrompt& prompt, const core::Intent& intent) {
    return {Decide(prompt, intent, false).candidate, false};
  }

  // As serving does it: the text first, the model where the policy asks for
  // it. What a model that failed leaves is the text's.
  Choice TextThenModel(const RoutedPrompt& prompt) {
    const policy::Decision first = Decide(prompt, *prompt.text, true);
    if (!first.ask) return {first.candidate, false};
    const core::Intent& then = prompt.model ? *prompt.model : *prompt.text;
    return {Decide(prompt, then, false).candidate, true};
  }

 private:
  static std::vector<std::string> Names(const RoutingSetup& setup) {
    std::vector<std::string> names;
    for (const core::Variant& v : setup.variants) names.push_back(v.name);
    return names;
  }

  const RoutingSetup& setup_;
  const cost::Learner learner_;
  orchestrator::Ledger ledger_;
  const std::vector<bool> nobody_drained_;
};

// The table's quality of each variant for a label; empty if one is not known.
std::vector<double> Qualities(const RoutingSetup& setup, core::Label label) {
  std::vector<double> all;
  for (const core::Variant& variant : setup.variants) {
    const auto row = setup.quality.find(variant.name);
    if (row == setup.quality.end()) return {};
    const auto& quality = row->second[static_cast<size_t>(label)];
    if (!quality) return {};
    all.push_back(quality->value);
  }
  return all;
}

// What each prompt gets from one way to decide.
struct Outcome {
  std::vector<double> quality, bytes;  // [prompt]
};

class Counter {
 public:
  Counter(const RoutingSetup& setup, std::vector<const RoutedPrompt*> prompts)
      : setup_(setup), prompts_(std::move(prompts)) {}

  RoutingLine Count(const std::string& name, const Chooser& choose) {
    RoutingLine line;
    line.name = name;
    line.shares.resize(setup_.variants.size());
    Outcome outcome;
    const double each = 1.0 / static_cast<double>(prompts_.size());
    for (const RoutedPrompt* prompt : prompts_) {
      const Choice choice = choose(*prompt);
      CHECK(choice.variant >= 0);  // prompts that nobody takes are left out
      const auto v = static_cast<size_t>(choice.variant);
      const double quality = Qualities(setup_, prompt->is)[v];
      const auto bytes =
          static_cast<double>(setup_.variants[v].bytes_per_token);
      line.shares[v] += each;
      line.asked += choice.asked ? each : 0;
      line.quality += quality * each;
      line.bytes_per_token += bytes * each;
      outcome.quality.push_back(quality);
      outcome.bytes.push_back(bytes);
    }
    if (reference_.quality.empty()) reference_ = outcome;
    line.quality_lost = Difference(reference_.quality, outcome.quality);
    line.bytes_lost = Difference(outcome.bytes, reference_.bytes);
    return line;
  }

 private:
  // The mean of a - b, pair by pair, with the percentile bootstrap's interval.
  static Estimated Difference(const std::vector<double>& a,
                              const std::vector<double>& b) {
    constexpr uint64_t kResamples = 2000, kSeed = 20260401;
    const size_t n = a.size();
    Estimated e;
    for (size_t i = 0; i < n; ++i) e.mean += (a[i] - b[i]) / n;
    std::vector<double> means(kResamples);
    for (uint64_t r = 0; r < kResamples; ++r) {
      for (size_t k = 0; k < n; ++k) {
        const size_t i = RandomBits(kSeed, r, k) % n;
        means[r] += (a[i] - b[i]) / n;
      }
    }
    std::sort(means.begin(), means.end());
    e.low = means[kResamples * 25 / 1000];
    e.high = means[kResamples * 975 / 1000];
    return e;
  }

  const RoutingSetup& setup_;
  const std::vector<const RoutedPrompt*> prompts_;
  Outcome reference_;  // the first line's
};

// The best variant that can take the prompt; of equals the one that reads
// least.
int BestVariant(const RoutingSetup& setup, const RoutedPrompt& prompt,
                const policy::Input& input) {
  const std::vector<double> quality = Qualities(setup, prompt.is);
  int best = -1;
  for (size_t v = 0; v < quality.size(); ++v) {
    if (!input.candidates[v].unfit.empty()) continue;
    const auto b = static_cast<size_t>(best);
    if (best < 0 || quality[v] > quality[b] ||
        (quality[v] == quality[b] && setup.variants[v].bytes_per_token <
                                         setup.variants[b].bytes_per_token)) {
      best = static_cast<int>(v);
    }
  }
  return best;
}

}  // namespace

Result<RoutingReport> RoutingRegret(const RoutingSetup& setup,
                                    const std::vector<RoutedPrompt>& prompts) {
  RoutingReport report;
  Router router(setup);
  std::vector<const RoutedPrompt*> known;
  bool text = true, model = false;
  for (const RoutedPrompt& prompt : prompts) {
    if (Qualities(setup, prompt.is).empty()) {
      ++report.unknown;
      continue;
    }
    if (router.With(prompt, core::Intent::Pinned(prompt.is)).variant < 0) {
      ++report.unserved;
      continue;
    }
    known.push_back(&prompt);
    text = text && prompt.text.has_value();
    model = model || prompt.model.has_value();
  }
  if (known.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "the quality table knows the intent of no prompt that a "
                 "variant can take, for every variant",
                 "policy.quality_table"};
  }
  report.prompts = static_cast<int>(known.size());
  Counter counter(setup, std::move(known));
  const auto add = [&](const std::string& name, const Chooser& choose) {
    report.lines.push_back(counter.Count(name, choose));
  };
  add("true intent", [&](const RoutedPrompt& p) {
    return router.With(p, core::Intent::Pinned(p.is));
  });
  if (text) {
    add("text probe",
        [&](const RoutedPrompt& p) { return router.With(p, *p.text); });
  }
  if (model) {
    // A probe that failed leaves an intent of which nothing is known.
    add("model probe", [&](const RoutedPrompt& p) {
      return Choice{router.With(p, p.model.value_or(core::Intent())).variant,
                    true};
    });
  }
  if (text && model) {
    add("text, then model",
        [&](const RoutedPrompt& p) { return router.TextThenModel(p); });
  }
  for (size_t v = 0; v < setup.variants.size(); ++v) {
    const policy::StaticPolicy always(setup.variants[v].name);
    add("always " + setup.variants[v].name, [&](const RoutedPrompt& p) {
      return Choice{always.Decide(router.InputOf(p, core::Intent::Pinned(p.is)))
                        .candidate};
    });
  }
  add("best variant", [&](const RoutedPrompt& p) {
    return Choice{
        BestVariant(setup, p, router.InputOf(p, core::Intent::Pinned(p.is)))};
  });
  return report;
}

}  // namespace aio::cli
