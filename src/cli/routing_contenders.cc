// SPDX-License-Identifier: Apache-2.0
#include "cli/routing_contenders.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "cli/route_predictor.h"

namespace aio::cli {
namespace {

// An intent of so few questions is believed half of what they say.
constexpr double kPriorQuestions = 20;
constexpr double kBytesHalf = 1000;  // a prompt of so many scores 0.5

double GainOf(const eval::RouteItem& item) {
  return item.strong_right - item.weak_right;
}

double Expected(const core::Intent& intent, const IntentGains& gains) {
  double sum = 0;
  for (size_t l = 0; l < core::kLabels; ++l) {
    sum += intent.probabilities[l] * gains[l];
  }
  return sum;
}

// `raw` of the tested questions, as shares of the training questions below.
void Rank(const std::vector<double>& raw, std::span<const size_t> training,
          std::span<const size_t> tested, std::vector<double>* scores) {
  std::vector<double> known;
  for (const size_t i : training) known.push_back(raw[i]);
  std::ranges::sort(known);
  for (const size_t i : tested) (*scores)[i] = ShareBelow(known, raw[i]);
}

Result<void> ScoreFold(const RoutingQuestions& questions,
                       std::span<const size_t> training,
                       std::span<const size_t> tested, uint64_t seed,
                       Scores* scores) {
  std::vector<PredictorSample> samples;
  for (const size_t i : training) {
    samples.push_back({questions.lines[i], GainOf(questions.items[i]) > 0});
  }
  ASSIGN_OR_RETURN(const auto predictor, RoutePredictor::Fit(samples, seed));
  const IntentGains gains = GainsOf(questions, training);
  std::vector<double> by_intent(questions.items.size());
  std::vector<double> by_words(questions.items.size());
  for (size_t i = 0; i < questions.items.size(); ++i) {
    by_intent[i] = Expected(questions.intents[i], gains);
    by_words[i] = predictor.Score(questions.lines[i]);
  }
  const auto of = [scores](Contender c) {
    return &(*scores)[static_cast<size_t>(c)];
  };
  Rank(by_intent, training, tested, of(Contender::kIntent));
  Rank(by_words, training, tested, of(Contender::kPredictor));
  return {};
}

}  // namespace

IntentGains GainsOf(const RoutingQuestions& questions,
                    std::span<const size_t> training) {
  IntentGains gains{}, weights{};
  if (training.empty()) return gains;
  double mean = 0;
  for (const size_t i : training) mean += GainOf(questions.items[i]);
  mean /= static_cast<double>(training.size());
  for (const size_t i : training) {
    for (size_t l = 0; l < core::kLabels; ++l) {
      const double p = questions.intents[i].probabilities[l];
      gains[l] += p * (GainOf(questions.items[i]) - mean);
      weights[l] += p;
    }
  }
  for (size_t l = 0; l < core::kLabels; ++l) {
    gains[l] /= weights[l] + kPriorQuestions;
  }
  return gains;
}

double ShareBelow(std::span<const double> known, double value) {
  if (known.empty()) return 0.5;
  const auto [low, high] = std::equal_range(known.begin(), known.end(), value);
  const auto below = static_cast<double>(low - known.begin());
  const auto equal = static_cast<double>(high - low);
  return (below + equal / 2) / static_cast<double>(known.size());
}

Result<Scores> ScoreByFold(const RoutingQuestions& questions,
                           std::span<const int> folds, uint64_t seed,
                           const std::function<void()>& step) {
  const size_t count = questions.items.size();
  CHECK(folds.size() == count);
  Scores scores;
  for (auto& of : scores) of.assign(count, 0.5);
  for (size_t i = 0; i < count; ++i) {
    const double bytes = questions.bytes[i];
    scores[static_cast<size_t>(Contender::kLength)][i] =
        bytes / (bytes + kBytesHalf);
    scores[static_cast<size_t>(Contender::kOracle)][i] =
        (1 + GainOf(questions.items[i])) / 2;
  }
  const int last = count == 0 ? -1 : std::ranges::max(folds);
  for (int fold = 0; fold <= last; ++fold) {
    std::vector<size_t> training, tested;
    for (size_t i = 0; i < count; ++i) {
      (folds[i] == fold ? tested : training).push_back(i);
    }
    if (tested.empty()) continue;
    if (training.empty()) break;
    RETURN_IF_ERROR(ScoreFold(questions, training, tested, seed, &scores));
    step();
    if (fold == last) return scores;
  }
  return Error{ErrorCode::kInvalidArgument,
               "there is only one subject: nothing is left to learn from", ""};
}

}  // namespace aio::cli
