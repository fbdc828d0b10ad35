// SPDX-License-Identifier: Apache-2.0
#include "eval/report.h"

#include <algorithm>
#include <boost/json.hpp>
#include <string_view>
#include <utility>

#include "eval/json_text.h"

namespace aio::eval {
namespace {

namespace json = boost::json;

json::string Text(std::string_view text) {
  return json::string(text.data(), text.size());
}

// The measure of the union of the records' times, session by session.
double WallSeconds(const std::vector<const Record*>& records) {
  std::map<int, std::vector<std::pair<double, double>>> spans;
  for (const Record* r : records) {
    spans[r->session].emplace_back(r->begun, r->begun + r->seconds);
  }
  double sum = 0;
  for (auto& [session, of] : spans) {
    std::sort(of.begin(), of.end());
    double until = -1;
    for (const auto& [begin, end] : of) {
      sum += std::max(0.0, end - std::max(begin, until));
      until = std::max(until, end);
    }
  }
  return sum;
}

ContenderReport Collect(const std::string& name,
                        const std::vector<Record>& records) {
  std::map<std::string_view, const Record*> last;
  for (const Record& r : records) {
    if (r.contender == name) last[r.task] = &r;
  }
  ContenderReport report;
  report.name = name;
  std::vector<const Record*> of;
  for (const auto& [task, record] : last) {
    report.all.Add(*record);
    report.by_intent[static_cast<size_t>(record->intent)].Add(*record);
    of.push_back(record);
  }
  report.wall_seconds = WallSeconds(of);
  return report;
}

json::object MapJson(const std::map<std::string, std::string>& map) {
  json::object out;
  for (const auto& [key, value] : map) out[key] = Text(value);
  return out;
}

json::object CellJson(const Cell& c) {
  const Interval interval = c.interval();
  json::object served;
  for (const auto& [variant, count] : c.served) served[variant] = count;
  return {{"tasks", c.tasks},
          {"right", c.right},
          {"errors", c.errors},
          {"cut", c.cut},
          {"accuracy", c.accuracy()},
          {"low", interval.low},
          {"high", interval.high},
          {"prompt_tokens", c.prompt_tokens},
          {"completion_tokens", c.completion_tokens},
          {"bytes_read", c.bytes_read},
          {"weight_bytes_read", c.weight_bytes_read},
          {"seconds", c.seconds},
          {"first_seconds", c.first_seconds},
          {"tokens_per_second", c.tokens_per_second()},
          {"probe_seconds", c.probe_seconds},
          {"intent_told", c.sensed},
          {"intent_right", c.sensed_right},
          {"served", std::move(served)}};
}

json::object HeaderJson(const Header& header) {
  return {
      {"tasks", {{"hash", Text(header.tasks_hash)}, {"count", header.tasks}}},
      {"fingerprints", MapJson(header.fingerprints)},
      {"settings", MapJson(header.settings)}};
}

// What `cell_json` says of every cell that has tasks, if it says anything.
template <typename CellJson>
std::string VariantTableJson(const Report& report, CellJson cell_json) {
  json::object variants;
  for (const ContenderReport& c : report.contenders) {
    json::object row;
    for (size_t i = 0; i < core::kLabels; ++i) {
      if (c.by_intent[i].tasks == 0) continue;
      json::object cell = cell_json(c.by_intent[i]);
      if (cell.empty()) continue;
      row[Text(core::kLabelNames[i])] = std::move(cell);
    }
    variants[Text(c.name)] = std::move(row);
  }
  return JsonText(json::object{{"format", 1},
                               {"variants", std::move(variants)},
                               {"source", HeaderJson(report.header)}});
}

}  // namespace

void Cell::Add(const Record& r) {
  ++tasks;
  right += r.right && r.error.empty();
  errors += !r.error.empty();
  answers += !r.finish.empty();
  cut += r.finish == "length";
  prompt_tokens += r.usage.prompt_tokens;
  completion_tokens += r.usage.completion_tokens;
  bytes_read += r.usage.bytes_read;
  weight_bytes_read += r.usage.weight_bytes_read;
  seconds += r.seconds;
  first_seconds += r.first_seconds;
  probe_seconds += r.probe_seconds;
  if (!r.served.empty()) ++served[r.served];
  if (r.sensed.empty()) return;
  ++sensed;
  sensed_right += r.sensed == core::Name(r.intent);
}

double Cell::accuracy() const {
  return tasks == 0 ? 0 : static_cast<double>(right) / tasks;
}

double Cell::tokens_each() const {
  return answers == 0 ? 0 : static_cast<double>(completion_tokens) / answers;
}

double Cell::tokens_per_second() const {
  return seconds > 0 ? static_cast<double>(completion_tokens) / seconds : 0;
}

double Cell::weight_bytes_per_token() const {
  return completion_tokens == 0 ? 0
                                : static_cast<double>(weight_bytes_read) /
                                      static_cast<double>(completion_tokens);
}

bool Report::complete() const {
  return std::all_of(
      contenders.begin(), contenders.end(),
      [&](const ContenderReport& c) { return c.all.tasks == tasks; });
}

Report Summarize(const Header& header,
                 const std::vector<std::string>& contenders,
                 const std::vector<Record>& records) {
  Report report;
  report.header = header;
  report.tasks = header.tasks;
  for (const std::string& name : contenders) {
    report.contenders.push_back(Collect(name, records));
  }
  return report;
}

std::string ReportJson(const Report& report) {
  json::array contenders;
  for (const ContenderReport& c : report.contenders) {
    json::object intents;
    for (size_t i = 0; i < core::kLabels; ++i) {
      if (c.by_intent[i].tasks == 0) continue;
      intents[Text(core::kLabelNames[i])] = CellJson(c.by_intent[i]);
    }
    const double tokens = static_cast<double>(c.all.completion_tokens);
    contenders.push_back(
        {{"name", Text(c.name)},
         {"all", CellJson(c.all)},
         {"intents", std::move(intents)},
         {"wall_seconds", c.wall_seconds},
         {"wall_tokens_per_second",
          c.wall_seconds > 0 ? tokens / c.wall_seconds : 0.0}});
  }
  json::object out = {{"format", 1}};
  for (auto& [key, value] : HeaderJson(report.header)) out[key] = value;
  out["tasks_each"] = report.tasks;
  out["complete"] = report.complete();
  out["contenders"] = std::move(contenders);
  return JsonText(out);
}

std::string QualityTableJson(const Report& report) {
  return VariantTableJson(report, [](const Cell& cell) {
    const Interval interval = cell.interval();
    return json::object{{"quality", cell.accuracy()},
                        {"low", interval.low},
                        {"high", interval.high},
                        {"n", cell.tasks}};
  });
}

std::string LengthsJson(const Report& report) {
  return VariantTableJson(report, [](const Cell& cell) {
    if (cell.answers == 0) return json::object{};
    return json::object{
        {"tokens", cell.tokens_each()}, {"n", cell.answers}, {"cut", cell.cut}};
  });
}

}  // namespace aio::eval
