// SPDX-License-Identifier: Apache-2.0
//
// What `aio bench route` has found, as a table and as JSON (docs/routing.md).
//
// Thread safety: pure functions and plain data.
#pragma once

#include <array>
#include <boost/json/object.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/routing_contenders.h"
#include "eval/route_eval.h"

namespace aio::cli {

// Accuracy is told at these shares of strong calls: 0, 0.1 .. 1.
inline constexpr size_t kSharesTold = 11;

struct RoutingRow {
  Contender contender = Contender::kRandom;
  eval::RouteFigures figures;  // over the intent table
  std::array<double, kSharesTold> accuracy{};
};

// Some of the questions.
struct RoutingSection {
  std::string name;
  eval::RouteBounds bounds;
  std::array<RoutingRow, kContenders> rows;
};

struct RoutingResult {
  std::string weak;
  std::string strong;
  std::string split;  // "subjects", "questions"
  int subjects = 0;
  int folds = 0;
  uint64_t seed = 0;
  std::vector<RoutingSection> sections;
};

// Of the questions at `chosen`. CompareRouters' error, with the name.
Result<RoutingSection> SectionOf(const std::string& name,
                                 const RoutingQuestions& questions,
                                 const Scores& scores,
                                 std::span<const size_t> chosen, uint64_t seed);

std::string RoutingTable(const RoutingResult& result);
boost::json::object RoutingJson(const RoutingResult& result);

}  // namespace aio::cli
