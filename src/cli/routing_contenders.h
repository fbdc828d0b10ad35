// SPDX-License-Identifier: Apache-2.0
//
// The routers that `aio bench route` compares, as scores of questions whose
// truth is known. What is learned is learned from questions of other folds
// only, and a score is then the share of those questions that score lower: the
// levels of models of different folds are not comparable, the shares are, and a
// threshold on a share is what would be set in service.
//
// Thread safety: functions without state; the library trains on the caller's
// thread and one of its own.
// See docs/routing.md.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/intent.h"
#include "eval/route_eval.h"
#include "eval/routing_data.h"

namespace aio::cli {

enum class Contender : uint8_t {
  kRandom,     // tosses: the same score for all
  kLength,     // bytes of the prompt
  kIntent,     // what the text probe says, by a table of quality
  kPredictor,  // route_predictor.h
  kOracle,     // knows the truth
};
inline constexpr size_t kContenders = 5;
inline constexpr std::array<std::string_view, kContenders> kContenderNames = {
    "random", "length", "intent table", "text predictor", "oracle"};

// [question] each.
struct RoutingQuestions {
  std::vector<eval::RouteItem> items;  // without scores
  std::vector<std::string> lines;      // probe::Line of the prompts
  std::vector<core::Intent> intents;   // by the text probe
  std::vector<double> bytes;           // of the prompts
};

// How much better the strong model is by intent, over how much it is on all
// questions: the table, weighted by what the probe says of each question and
// drawn towards no difference where an intent is rare.
using IntentGains = std::array<double, core::kLabels>;
IntentGains GainsOf(const RoutingQuestions& questions,
                    std::span<const size_t> training);

// The share of `known` that is below `value`; equals count half. Sorted.
double ShareBelow(std::span<const double> known, double value);

// The scores of all questions, each learned from the questions of the other
// folds: [contender][question]. `step` is called after each fold that has
// questions. kInvalidArgument if there are not two such folds.
// REQUIRES: as many folds as questions, numbers from 0.
using Scores = std::array<std::vector<double>, kContenders>;
Result<Scores> ScoreByFold(const RoutingQuestions& questions,
                           std::span<const int> folds, uint64_t seed,
                           const std::function<void()>& step);

}  // namespace aio::cli
