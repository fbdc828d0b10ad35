// SPDX-License-Identifier: Apache-2.0
#include "cli/routing_report.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <utility>

#include "eval/table.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

constexpr size_t kHalf = kSharesTold / 2;

std::string_view NameOf(Contender contender) {
  return kContenderNames[static_cast<size_t>(contender)];
}

double ShareAt(size_t i) {
  return static_cast<double>(i) / static_cast<double>(kSharesTold - 1);
}

std::string Number(const eval::Estimate& e) {
  return fmt::format("{:.3f} [{:.3f}, {:.3f}]", e.value, e.interval.low,
                     e.interval.high);
}

std::string Signed(const eval::Estimate& e) {
  return fmt::format("{:+.3f} [{:+.3f}, {:+.3f}]", e.value, e.interval.low,
                     e.interval.high);
}

std::string Bounds(const eval::Interval& interval) {
  return fmt::format("[{:+.3f}, {:+.3f}]", interval.low, interval.high);
}

std::string Percent(const eval::Estimate& e) {
  return fmt::format("{:.1f} % [{:.1f}, {:.1f}]", 100 * e.value,
                     100 * e.interval.low, 100 * e.interval.high);
}

// What may be said of the text predictor against the intent table.
std::string_view Verdict(const RoutingSection& section) {
  const eval::Interval& over =
      section.rows[static_cast<size_t>(Contender::kPredictor)]
          .figures.over_groups;
  if (over.low > 0) return "beats";
  if (over.high < 0) return "is worse than";
  return "is not shown to differ from";
}

std::string SectionText(const RoutingSection& section) {
  const eval::RouteBounds& b = section.bounds;
  std::string text = fmt::format(
      "\n{}: {} questions; right: weak {}, strong {}, a random half of each "
      "{}, "
      "oracle {} with {} strong calls\n",
      section.name, b.items, eval::PercentText(b.weak),
      eval::PercentText(b.strong), eval::PercentText(b.RandomMix(0.5)),
      eval::PercentText(b.oracle), eval::PercentText(b.oracle_share));
  std::vector<std::vector<std::string>> rows = {
      {"router", "APGR", "over the intent table", "of subjects", "CPT(50)",
       "CPT(80)", "right at 50 %"}};
  for (const RoutingRow& row : section.rows) {
    const bool same = row.contender == Contender::kIntent;
    rows.push_back({std::string(NameOf(row.contender)),
                    Number(row.figures.apgr),
                    same ? "" : Signed(row.figures.over),
                    same ? "" : Bounds(row.figures.over_groups),
                    Percent(row.figures.cpt50), Percent(row.figures.cpt80),
                    eval::PercentText(row.accuracy[kHalf])});
  }
  return text + eval::AlignColumns(rows, 1) +
         fmt::format("The text predictor {} the intent table there.\n",
                     Verdict(section));
}

json::object EstimateJson(const eval::Estimate& e) {
  return {
      {"value", e.value}, {"low", e.interval.low}, {"high", e.interval.high}};
}

json::object SectionJson(const RoutingSection& section) {
  json::array rows;
  for (const RoutingRow& row : section.rows) {
    json::array curve;
    for (size_t i = 0; i < kSharesTold; ++i) {
      curve.push_back(json::array{ShareAt(i), row.accuracy[i]});
    }
    const std::string_view name = NameOf(row.contender);
    rows.push_back(json::object{
        {"router", json::string_view(name.data(), name.size())},
        {"apgr", EstimateJson(row.figures.apgr)},
        {"apgr_over_intent_table", EstimateJson(row.figures.over)},
        {"apgr_over_intent_table_subjects_95",
         {row.figures.over_groups.low, row.figures.over_groups.high}},
        {"cpt50", EstimateJson(row.figures.cpt50)},
        {"cpt80", EstimateJson(row.figures.cpt80)},
        {"accuracy_at_strong_share", std::move(curve)}});
  }
  const eval::RouteBounds& b = section.bounds;
  return {{"name", section.name},
          {"questions", b.items},
          {"weak", b.weak},
          {"strong", b.strong},
          {"random_half", b.RandomMix(0.5)},
          {"oracle", b.oracle},
          {"oracle_strong_share", b.oracle_share},
          {"routers", std::move(rows)}};
}

}  // namespace

Result<RoutingSection> SectionOf(const std::string& name,
                                 const RoutingQuestions& questions,
                                 const Scores& scores,
                                 std::span<const size_t> chosen,
                                 uint64_t seed) {
  std::vector<std::vector<eval::RouteItem>> routers(kContenders);
  for (size_t c = 0; c < kContenders; ++c) {
    for (const size_t i : chosen) {
      routers[c].push_back(questions.items[i]);
      routers[c].back().score = scores[c][i];
    }
  }
  const auto figures = eval::CompareRouters(
      routers, static_cast<size_t>(Contender::kIntent), seed);
  if (!figures) {
    return Error{figures.error().code, name + ": " + figures.error().message,
                 ""};
  }
  RoutingSection section;
  section.name = name;
  section.bounds = eval::BoundsOf(routers.front());
  for (size_t c = 0; c < kContenders; ++c) {
    RoutingRow& row = section.rows[c];
    row.contender = static_cast<Contender>(c);
    row.figures = (*figures)[c];
    const auto curve = eval::RouteCurve(routers[c]);
    for (size_t i = 0; i < kSharesTold; ++i) {
      row.accuracy[i] = eval::AccuracyAt(curve, ShareAt(i));
    }
  }
  return section;
}

std::string RoutingTable(const RoutingResult& result) {
  std::string text = fmt::format(
      "weak: {}; strong: {}; {} subjects, {} folds, 95 % intervals over "
      "questions (of subjects: whole subjects drawn)\n",
      result.weak, result.strong, result.subjects, result.folds);
  text += result.split == "subjects"
              ? "What is learned is learned without the question's whole "
                "subject. That is the honest\nsplit: questions of one subject "
                "are alike, as traffic to come is not.\n"
              : "Questions of one subject are on both sides of the split, "
                "which flatters what is learned:\n--split subjects is the "
                "honest one, and only there is `of subjects` more than the "
                "first interval.\n";
  for (const RoutingSection& s : result.sections) text += SectionText(s);
  return text;
}

json::object RoutingJson(const RoutingResult& result) {
  json::array sections;
  for (const auto& s : result.sections) sections.push_back(SectionJson(s));
  return {{"benchmark", "route"},        {"weak", result.weak},
          {"strong", result.strong},     {"split", result.split},
          {"subjects", result.subjects}, {"folds", result.folds},
          {"seed", result.seed},         {"sections", std::move(sections)}};
}

}  // namespace aio::cli
