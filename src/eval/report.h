// SPDX-License-Identifier: Apache-2.0
//
// What the records of a run come to: quality and speed in one table, per
// contender and intent, and the same as JSON. docs/eval.md defines the columns.
//
// Thread safety: plain data and pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/intent.h"
#include "eval/record.h"
#include "eval/statistics.h"

namespace aio::eval {

// Sums over some records. An error counts as a task that was not solved.
struct Cell {
  int tasks = 0;
  int right = 0;
  int errors = 0;
  int answers = 0;  // requests that ended well, whatever the checker did
  int cut = 0;      // answers that ended at max_tokens
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t bytes_read = 0;
  int64_t weight_bytes_read = 0;
  double seconds = 0;        // of the requests, added up
  double first_seconds = 0;  // to the first tokens, added up
  double probe_seconds = 0;
  int sensed = 0;                     // requests of whose intent a probe spoke
  int sensed_right = 0;               // and said what the task is labelled with
  std::map<std::string, int> served;  // by variant

  void Add(const Record& record);
  double accuracy() const;  // 0 of no tasks
  Interval interval() const { return Wilson95(right, tasks); }
  double tokens_each() const;             // of an answer; 0 of none
  double tokens_per_second() const;       // as a request sees it
  double weight_bytes_per_token() const;  // 0: unknown
};

struct ContenderReport {
  std::string name;
  Cell all;
  std::array<Cell, core::kLabels> by_intent;
  // The time in which at least one of its requests ran.
  double wall_seconds = 0;
};

struct Report {
  Header header;
  int tasks = 0;  // that each contender was to answer
  std::vector<ContenderReport> contenders;

  bool complete() const;
};

// Of the contenders, in that order. Of records of one (task, contender) the
// last counts.
Report Summarize(const Header& header,
                 const std::vector<std::string>& contenders,
                 const std::vector<Record>& records);

// For a terminal of 100 columns or more.
std::string ReportTable(const Report& report);
// Stable names: docs/eval.md.
std::string ReportJson(const Report& report);

// The quality table that a config can load (policy.quality_table); of every
// contender, so the caller passes variants only.
std::string QualityTableJson(const Report& report);

// How long answers are, as policy.calibration reads it; of requests that ended
// well.
std::string LengthsJson(const Report& report);

}  // namespace aio::eval
