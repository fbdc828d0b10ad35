// SPDX-License-Identifier: Apache-2.0
#include "cli/probe_bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <utility>

namespace aio::cli {
namespace {

namespace json = boost::json;

constexpr int kFolds = 5;

std::string CalibrationRows(const ProbeBenchReport& report) {
  std::string text =
      "\n## Calibration\n\n"
      "| probe | accuracy | mean over labels | error at T = 1 | error fitted | "
      "T | entropy right | entropy wrong |\n"
      "|---|---:|---:|---:|---:|---:|---:|---:|\n";
  for (const auto* views : {&report.probes, &report.others}) {
    for (const ProbeView& v : *views) {
      text += fmt::format(
          "| {} | {:.1f} % | {:.1f} % | {:.3f} | {:.3f} | {:.2f} | {:.2f} | "
          "{:.2f} |\n",
          v.name, 100 * v.plain.all.share(), 100 * v.plain.MacroRecall(),
          v.plain.reliability.error, v.fitted.reliability.error, v.temperature,
          v.fitted.entropy_right, v.fitted.entropy_wrong);
    }
  }
  return text;
}

std::string CostRows(const ProbeBenchReport& report) {
  std::string text =
      "\n## Cost\n\n"
      "| probe | median ms | 99 % ms | median columns | 99 % columns | KV kept "
      "| failed |\n|---|---:|---:|---:|---:|---:|---:|\n";
  for (const ProbeCost& c : report.costs) {
    text += fmt::format(
        "| {} | {:.3f} | {:.3f} | {:.0f} | {:.0f} | {:.1f} % | {} |\n", c.name,
        c.milliseconds.median, c.milliseconds.percentile99, c.columns.median,
        c.columns.percentile99, 100 * c.kept, c.failed);
  }
  for (const ProbeCost& c : report.costs) {
    if (c.failed == 0) continue;
    text += fmt::format("\n{} of {} prompts had no answer of the {}: {}\n",
                        c.failed, report.prompts, c.name, c.failure);
  }
  return text;
}

std::string Interval(const Estimated& e, double scale, int digits) {
  return fmt::format("{:.{}f} [{:.{}f}, {:.{}f}]", e.mean * scale, digits,
                     e.low * scale, digits, e.high * scale, digits);
}

std::string RoutingRows(const ProbeBenchReport& report) {
  std::string text = "\n## Routing\n";
  if (!report.routing) {
    return text +
           "\nnot measured: the config names no policy.quality_table "
           "(`aio eval --quality-table` writes one)\n";
  }
  text += fmt::format("\n{} prompts", report.routing->prompts);
  if (report.routing->unknown > 0) {
    text += fmt::format(
        "; {} left out, as the quality table does not know their intent",
        report.routing->unknown);
  }
  if (report.routing->unserved > 0) {
    text += fmt::format("; {} left out, as no variant can take them",
                        report.routing->unserved);
  }
  text += "\n\n| decided by | quality | quality lost | MB a token | MB lost |";
  std::string line = "|---|---:|---:|---:|---:|";
  for (const std::string& name : report.variants) {
    text += fmt::format(" to {} |", name);
    line += "---:|";
  }
  text += " model asked |\n" + line + "---:|\n";
  for (const RoutingLine& l : report.routing->lines) {
    text += fmt::format("| {} | {:.4f} | {} | {:.3f} | {} |", l.name, l.quality,
                        Interval(l.quality_lost, 1, 4), l.bytes_per_token / 1e6,
                        Interval(l.bytes_lost, 1e-6, 3));
    for (const double share : l.shares) {
      text += fmt::format(" {:.1f} % |", 100 * share);
    }
    text += fmt::format(" {:.1f} % |\n", 100 * l.asked);
  }
  return text +
         "\nlost: against deciding with the true intent; 95 % intervals\n";
}

// ---- JSON -------------------------------------------------------------------

json::object TallyJson(const probe::Tally& tally) {
  return {{"right", tally.right}, {"prompts", tally.all}};
}

json::object BoardJson(const probe::Scoreboard& board) {
  json::object labels, sources;
  json::array confusion;
  for (size_t i = 0; i < core::kLabels; ++i) {
    labels[core::kLabelNames[i].data()] = TallyJson(board.labels[i]);
    confusion.emplace_back(
        json::array(board.confusion[i].begin(), board.confusion[i].end()));
  }
  for (const auto& [name, tally] : board.sources) {
    json::object source = TallyJson(tally);
    source["natural"] = probe::IsNatural(name);
    sources[name] = std::move(source);
  }
  return {{"accuracy", board.all.share()},
          {"macro_recall", board.MacroRecall()},
          {"all", TallyJson(board.all)},
          {"natural", TallyJson(board.natural)},
          {"benchmark", TallyJson(board.benchmark)},
          {"labels", std::move(labels)},
          {"sources", std::move(sources)},
          {"confusion", std::move(confusion)},
          {"calibration_error", board.reliability.error},
          {"entropy", board.entropy},
          {"entropy_right", board.entropy_right},
          {"entropy_wrong", board.entropy_wrong}};
}

json::object ViewJson(const ProbeView& view) {
  return {{"name", view.name},
          {"temperature", view.temperature},
          {"plain", BoardJson(view.plain)},
          {"fitted", BoardJson(view.fitted)}};
}

json::object SpreadJson(const Spread& spread) {
  return {{"median", spread.median}, {"percentile99", spread.percentile99}};
}

json::object EstimatedJson(const Estimated& e) {
  return {{"mean", e.mean}, {"low", e.low}, {"high", e.high}};
}

json::object RoutingJson(const RoutingReport& routing,
                         const std::vector<std::string>& variants) {
  json::array lines;
  for (const RoutingLine& l : routing.lines) {
    json::object shares;
    for (size_t v = 0; v < variants.size(); ++v) {
      shares[variants[v]] = l.shares[v];
    }
    lines.push_back(
        json::object{{"decided_by", l.name},
                     {"quality", l.quality},
                     {"quality_lost", EstimatedJson(l.quality_lost)},
                     {"bytes_per_token", l.bytes_per_token},
                     {"bytes_lost", EstimatedJson(l.bytes_lost)},
                     {"shares", std::move(shares)},
                     {"asked", l.asked}});
  }
  return {{"prompts", routing.prompts},
          {"unknown", routing.unknown},
          {"unserved", routing.unserved},
          {"lines", std::move(lines)}};
}

}  // namespace

ProbeView ViewOf(std::string name, bool calibrated,
                 const std::vector<probe::LabelledPrompt>& prompts,
                 const Said& said) {
  ProbeView view;
  view.name = std::move(name);
  std::vector<probe::Logits> logits;
  std::vector<core::Label> labels;
  std::vector<int> folds;
  std::vector<size_t> at;
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (!said[i]) continue;
    at.push_back(i);
    logits.push_back(*said[i]);
    labels.push_back(prompts[i].label);
    folds.push_back(probe::FoldOf(prompts[i].group, kFolds));
  }
  const auto crossed = probe::CrossCalibrate(logits, labels, folds);
  std::vector<probe::Judgement> plain, fitted;
  view.served.resize(prompts.size());
  for (size_t k = 0; k < at.size(); ++k) {
    const std::string& source = prompts[at[k]].source;
    plain.push_back({labels[k], source, probe::Softmax(logits[k], 1)});
    fitted.push_back({labels[k], source, crossed[k]});
    view.served[at[k]] = (calibrated ? plain : fitted).back().said;
  }
  view.temperature = probe::FitTemperature(logits, labels);
  view.plain = probe::ScoreboardOf(plain);
  view.fitted = probe::ScoreboardOf(fitted);
  return view;
}

Spread SpreadOf(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values[values.size() * 99 / 100]};
}

std::string Markdown(const ProbeBenchReport& report) {
  std::string text = fmt::format("# Probes on {} labelled prompts of {}\n",
                                 report.prompts, report.prompts_file);
  for (const std::string& note : report.notes) text += "\n" + note + "\n";
  for (const ProbeView& view : report.probes) {
    text += "\n## The " + view.name + "\n";
    text += probe::AccuracyTables(view.fitted);
    text += probe::ConfusionTable(view.fitted);
    text += probe::CalibrationTable(view.fitted.reliability);
  }
  return text + CalibrationRows(report) + CostRows(report) +
         RoutingRows(report);
}

json::object Json(const ProbeBenchReport& report) {
  json::array notes, probes, others, costs;
  for (const std::string& note : report.notes) notes.emplace_back(note);
  for (const ProbeView& v : report.probes) probes.push_back(ViewJson(v));
  for (const ProbeView& v : report.others) others.push_back(ViewJson(v));
  for (const ProbeCost& c : report.costs) {
    costs.push_back(json::object{{"name", c.name},
                                 {"milliseconds", SpreadJson(c.milliseconds)},
                                 {"columns", SpreadJson(c.columns)},
                                 {"kept", c.kept},
                                 {"failed", c.failed},
                                 {"failure", c.failure}});
  }
  json::object out = {{"format", 1},
                      {"prompts_file", report.prompts_file},
                      {"prompts", report.prompts},
                      {"notes", std::move(notes)},
                      {"probes", std::move(probes)},
                      {"others", std::move(others)},
                      {"costs", std::move(costs)}};
  if (report.routing) {
    out["routing"] = RoutingJson(*report.routing, report.variants);
  }
  return out;
}

}  // namespace aio::cli
