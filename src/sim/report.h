// SPDX-License-Identifier: Apache-2.0
//
// What a simulation has shown: one row a variant and one of all, as a table, as
// JSON and as a page with pictures.
//
// Thread safety: plain data and pure functions.
#pragma once

#include <array>
#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/intent.h"

namespace aio::sim {

// Seconds, of all that there were.
struct Spread {
  double p50 = 0, p95 = 0, p99 = 0, mean = 0;
  int64_t count = 0;
};
Spread SpreadOf(std::vector<double> values);

struct ReportRow {
  std::string name;      // a variant, or "all"
  int64_t requests = 0;  // that ended here
  int64_t finished = 0, cancelled = 0, rejected = 0, failed = 0;
  int64_t prompt_tokens = 0, cached_tokens = 0, output_tokens = 0;
  int64_t drafted_tokens = 0, accepted_tokens = 0;
  double share = 0;                    // of the requests that were started
  double tokens_per_second = 0;        // of output, over the whole run
  Spread ttft, tpot, total, queueing;  // seconds; queueing: of the scheduler
  double busy_seconds = 0;
  double utilisation = 0;  // of its device
  double weight_bytes = 0, kv_bytes = 0;
  double quality = -1;  // expected, of the finished; -1: not known
  std::array<std::optional<double>, core::kLabels> quality_of =
      {};  // by intent
};

// How far simulated figures were from measured ones, as shares without a sign.
struct FigureErrors {
  double tokens_per_second = 0, total = 0, ttft_p50 = 0, ttft_p99 = 0,
         tpot_p50 = 0;
};

struct DeviceRow {
  std::string name;
  std::optional<FigureErrors> errors;  // absent: uncalibrated
  double busy_seconds = 0, utilisation = 0;
  int64_t steps = 0, columns = 0, paused = 0;
};

struct Report {
  std::string workload, policy;
  uint64_t seed = 0;
  double seconds = 0;  // virtual, to the last answer
  int64_t events = 0;
  int64_t model_probes = 0;        // asked
  int64_t model_probes_late = 0;   // of those, past their deadline
  double model_probe_seconds = 0;  // that requests waited for it, in all
  ReportRow all;
  std::vector<ReportRow> variants;
  std::vector<DeviceRow> devices;
  // What routing can gain at most at the share that went to the smaller one.
  double ceiling = 0, ceiling_share = 0;
  std::vector<std::string> notes;
};

// "uncalibrated", or how far its figures were from measured ones.
std::string CalibratedText(const DeviceRow& device);
std::string ReportTable(const Report& report);
boost::json::object ReportJson(const Report& report);
// A page of its own, nothing loaded from elsewhere.
std::string ReportHtml(const std::vector<Report>& reports);

}  // namespace aio::sim
