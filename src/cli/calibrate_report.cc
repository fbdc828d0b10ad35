// SPDX-License-Identifier: Apache-2.0
#include "cli/calibrate_report.h"

#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include "cli/step_cache.h"
#include "eval/json_text.h"
#include "eval/table.h"
#include "orchestrator/agreement.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

using Rows = std::vector<std::vector<std::string>>;

std::string StepsText(const CalibrationReport& report) {
  if (report.steps.empty()) return "";
  Rows rows = {{"steps (ms)", "1 column", "8", "32", "prompt token"}};
  for (const auto& [variant, table] : report.steps) {
    std::vector<std::string> row = {variant};
    for (const int columns : {1, 8, 32}) {
      row.push_back(fmt::format("{:.3f}", 1e3 * table.Seconds(columns, 0)));
    }
    row.push_back(fmt::format("{:.3f}", 1e3 * table.prefill_seconds_per_token));
    rows.push_back(std::move(row));
  }
  return eval::AlignColumns(rows, 1) + "\n";
}

// "0.83", or "-".
std::string AgreementText(const CalibrationReport& report,
                          const std::string& variant, size_t label) {
  const auto row = report.agreement.find(variant);
  if (row == report.agreement.end() || !row->second[label]) return "-";
  return fmt::format("{:.2f}", *row->second[label]);
}

std::string LengthsText(const CalibrationReport& report) {
  Rows rows = {{"answers", "intent", "n", "tokens", "cut"}};
  const bool agreement = !report.agreement.empty();
  if (agreement) rows[0].push_back("agree with " + report.reference);
  for (const eval::ContenderReport& c : report.tasks.contenders) {
    std::string name = c.name;
    for (size_t i = 0; i < core::kLabels; ++i) {
      const eval::Cell& cell = c.by_intent[i];
      if (cell.answers == 0) continue;
      rows.push_back({name, std::string(core::kLabelNames[i]),
                      std::to_string(cell.answers),
                      fmt::format("{:.1f}", cell.tokens_each()),
                      std::to_string(cell.cut)});
      if (agreement) rows.back().push_back(AgreementText(report, c.name, i));
      name.clear();
    }
  }
  return eval::AlignColumns(rows, 2) + "\n";
}

// How many would have escalated below a threshold.
struct Below {
  int first = 0;  // streamed: by the first tokens
  int least = 0;  // not streamed: by any
};
Below CountBelow(const std::vector<eval::Margin>& margins, double threshold) {
  Below below;
  for (const eval::Margin& m : margins) {
    below.first += m.first < threshold ? 1 : 0;
    below.least += m.least < threshold ? 1 : 0;
  }
  return below;
}

constexpr int kThresholds = 9;  // 0.1, 0.2, ...

std::string MarginsText(const CalibrationReport& report) {
  if (report.margins.empty()) return "";
  Rows rows = {{"escalated", "margin below", "streamed: wrong", "right",
                "whole: wrong", "right"}};
  for (const auto& [variant, lists] : report.margins) {
    std::string name = variant;
    for (int i = 1; i <= kThresholds; ++i) {
      const Below wrong = CountBelow(lists.wrong, 0.1 * i);
      const Below right = CountBelow(lists.right, 0.1 * i);
      const auto of = [](int count, const std::vector<eval::Margin>& all) {
        return fmt::format("{} of {}", count, all.size());
      };
      rows.push_back(
          {name, fmt::format("{:.1f}", 0.1 * i), of(wrong.first, lists.wrong),
           of(right.first, lists.right), of(wrong.least, lists.wrong),
           of(right.least, lists.right)});
      name.clear();
    }
  }
  return eval::AlignColumns(rows, 1) + "\n";
}

json::object MarginsJson(const CalibrationReport& report) {
  json::object out;
  for (const auto& [variant, lists] : report.margins) {
    json::array rows;
    for (int i = 1; i <= kThresholds; ++i) {
      const Below wrong = CountBelow(lists.wrong, 0.1 * i);
      const Below right = CountBelow(lists.right, 0.1 * i);
      rows.push_back({{"below", 0.1 * i},
                      {"wrong_streamed", wrong.first},
                      {"right_streamed", right.first},
                      {"wrong_whole", wrong.least},
                      {"right_whole", right.least}});
    }
    out[variant] = {{"wrong", lists.wrong.size()},
                    {"right", lists.right.size()},
                    {"escalated", std::move(rows)}};
  }
  return out;
}

std::string ProbeText(const CalibrationReport& report) {
  if (!report.probe) return "";
  const FittedProbe& p = *report.probe;
  return fmt::format(
      "probe: {} on {} prompts: {:.1f} % right, temperature {:.2f}, prior {}; "
      "loss {:.3f} nats ({:.3f} the other way), calibration error {:.3f}\n\n",
      report.probe_variant, p.prompts, 100 * p.accuracy, p.temperature,
      p.prior ? "divided out" : "left in", p.loss, p.loss_other, p.error);
}

std::string TextProbeText(const CalibrationReport& report) {
  if (!report.text) return "";
  const probe::MeaningFit& f = report.text->fit;
  return fmt::format(
      "text probe on {} prompts: {:.1f} % right, loss {:.3f} nats; by what it "
      "means {:.1f} %, {:.3f}, {}\n\n",
      report.text->prompts, 100 * f.right_plain, f.loss_plain, 100 * f.right,
      f.loss, f.helps ? "which counts" : "so it is taken at its word");
}

json::object StepsJson(const CalibrationReport& report) {
  json::object out;
  for (const auto& [variant, table] : report.steps) {
    out[variant] = ToJson(table);
  }
  return out;
}

json::object AgreementJson(const CalibrationReport& report) {
  json::object variants;
  for (const auto& [variant, row] : report.agreement) {
    json::object cells;
    for (size_t i = 0; i < core::kLabels; ++i) {
      if (row[i]) cells[core::kLabelNames[i].data()] = *row[i];
    }
    variants[variant] = std::move(cells);
  }
  return {{"reference", report.reference}, {"variants", std::move(variants)}};
}

json::object TextJson(const FittedText& text) {
  return {{"prompts", text.prompts},
          {"accuracy", text.fit.right},
          {"accuracy_plain", text.fit.right_plain},
          {"loss", text.fit.loss},
          {"loss_plain", text.fit.loss_plain}};
}

json::object FitJson(const FittedProbe& p) {
  return {{"prompts", p.prompts},
          {"accuracy", p.accuracy},
          {"error", p.error},
          {"loss", p.loss},
          {"loss_other", p.loss_other}};
}

}  // namespace

AgreementTable AgreementsOf(const std::vector<eval::Record>& records,
                            const std::string& reference) {
  std::map<std::pair<std::string, std::string>, const eval::Record*> last;
  for (const eval::Record& r : records) {
    last[{r.contender, r.task}] = r.finish.empty() ? nullptr : &r;
  }
  struct Sum {
    double agreement = 0;
    int tasks = 0;
  };
  std::map<std::string, std::array<Sum, core::kLabels>> sums;
  for (const auto& [key, record] : last) {
    if (record == nullptr || key.first == reference) continue;
    const auto other = last.find({reference, key.second});
    if (other == last.end() || other->second == nullptr) continue;
    Sum& sum = sums[key.first][static_cast<size_t>(record->intent)];
    sum.agreement +=
        orchestrator::Agreement(record->answer, other->second->answer);
    ++sum.tasks;
  }
  AgreementTable table;
  for (const auto& [variant, row] : sums) {
    for (size_t i = 0; i < core::kLabels; ++i) {
      if (row[i].tasks == 0) continue;
      table[variant][i] = row[i].agreement / row[i].tasks;
    }
  }
  return table;
}

MarginTable MarginsOf(const std::vector<eval::Record>& records,
                      const std::string& reference) {
  std::map<std::pair<std::string, std::string>, const eval::Record*> last;
  for (const eval::Record& r : records) last[{r.contender, r.task}] = &r;
  MarginTable table;
  for (const auto& [key, record] : last) {
    if (!record->margin || record->finish.empty() || key.first == reference) {
      continue;
    }
    MarginLists& lists = table[key.first];
    (record->right ? lists.right : lists.wrong).push_back(*record->margin);
  }
  return table;
}

std::string Text(const CalibrationReport& report) {
  return StepsText(report) + eval::ReportTable(report.tasks) + "\n" +
         LengthsText(report) + MarginsText(report) + ProbeText(report) +
         TextProbeText(report) +
         fmt::format(
             "{} is complete; in the config:\n\n"
             "policy: {{ calibration: {} }}\n",
             report.folder, report.folder);
}

std::string Json(const CalibrationReport& report) {
  json::object out = {
      {"format", 1}, {"folder", report.folder}, {"steps", StepsJson(report)}};
  // Written by the same program; it parses.
  out["tasks"] = json::parse(eval::ReportJson(report.tasks));
  out["lengths"] = json::parse(eval::LengthsJson(report.tasks)).at("variants");
  out["agreement"] = AgreementJson(report);
  if (!report.margins.empty()) out["margins"] = MarginsJson(report);
  if (report.probe) {
    out["probe"] = FitJson(*report.probe);
    out["probe"].as_object()["variant"] = report.probe_variant;
    out["probe"].as_object()["temperature"] = report.probe->temperature;
    out["probe"].as_object()["prior"] = report.probe->prior;
  }
  if (report.text) {
    out["text_probe"] = TextJson(*report.text);
    out["text_probe"].as_object()["meant"] = report.text->fit.helps;
  }
  out["settings"] = {{"policy.calibration", report.folder}};
  return eval::JsonText(out);
}

std::string ProbeFitJson(const CalibrationReport& report,
                         const std::string& suffix) {
  const FittedProbe& p = report.probe.value();
  json::object source;
  const auto& prints = report.tasks.header.fingerprints;
  const auto print = prints.find(report.probe_variant);
  if (print != prints.end()) source["fingerprint"] = print->second;
  return eval::JsonText(json::object{{"format", 1},
                                     {"variant", report.probe_variant},
                                     {"suffix", suffix},
                                     {"temperature", p.temperature},
                                     {"prior", p.prior},
                                     {"measured", FitJson(p)},
                                     {"source", std::move(source)}});
}

std::string TextFitJson(const FittedText& text) {
  json::object out = {{"format", 1}, {"fingerprint", text.fingerprint}};
  if (text.fit.helps) {
    json::object meant;
    const core::Meaning& m = text.fit.meaning;
    for (size_t is = 0; is < core::kLabels; ++is) {
      if (!m.known[is]) continue;
      json::object weights;
      for (size_t said = 0; said < core::kLabels; ++said) {
        weights[core::kLabelNames[said].data()] = m.weight[is][said];
      }
      meant[core::kLabelNames[is].data()] = {{"bias", m.bias[is]},
                                             {"weights", std::move(weights)}};
    }
    out["meant"] = std::move(meant);
  }
  out["measured"] = TextJson(text);
  return eval::JsonText(out);
}

}  // namespace aio::cli
