// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of `aio bench mixed`: passes of one request list through
// several contenders, round by round, come to one table like the paper's
// (arXiv 2604.09752). docs/eval.md defines the columns.
//
// Thread safety: plain data and pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "eval/record.h"
#include "eval/statistics.h"

namespace aio::eval {

// Once through the whole list.
struct Pass {
  std::vector<Record> records;  // [request], in list order
  double seconds = 0;           // wall clock
  int64_t weight_bytes = 0;     // that the device read, probes included
};

// One contender: its passes, one a round, in the order of the rounds.
struct MixedContender {
  std::string name;
  // Its choices depend on how long things take, so rounds may differ in who
  // answers; never in what one variant says.
  bool adaptive = false;
  std::vector<Pass> passes;
};

// Greedy answers and seeded choices are the same in every round: kInternal
// that names the contender and the request where they are not, for then the
// rounds did not measure the same work. kUnavailable if a request failed. Of an
// adaptive one, answers of one variant are.
Result<void> CheckRounds(const MixedContender& contender);

struct MixedRow {
  std::string name;
  int requests = 0;  // of an adaptive one, in all rounds
  int right = 0;
  Interval accuracy;  // by the number of different tasks, not of requests
  double tokens_per_second = 0;  // median over rounds
  Ratio ratio;                   // of tokens/s to the baseline's, in pairs
  double request_seconds = 0;    // median over rounds of wall time a request
  double weight_bytes_per_token = 0;
  double small_share = 0;
  double probe_seconds = 0;  // a request
  double probe_share = 0;    // of the requests' time
  int sensed = 0;
  int sensed_right = 0;

  double accuracy_share() const;
};

// What routing can gain on this device with these two variants, as ratios of
// the time of all-large: design.md, section 5.
struct Ceiling {
  double all_small = 0;   // whatever the accuracy
  double share = 0;       // of requests on small: the router's
  double same_share = 0;  // that share of average requests
  // That share of the requests that gain most; 0: not known (several requests
  // at once share the device, so no request has a time of its own).
  double best_choice = 0;
  double router = 0;  // as measured
};

struct MixedReport {
  std::string name;                // "code-centric"
  std::string baseline;            // the contender that ratios are to
  std::map<std::string, int> mix;  // requests by intent
  int distinct = 0;                // different tasks among them
  std::vector<MixedRow> rows;
  Ceiling ceiling;
};

struct MixedNames {
  std::string workload;
  std::string small;     // the variant
  std::string baseline;  // contenders: all large,
  std::string all_small;
  std::string router;  // and whose share the ceiling is for
  int parallel = 1;
  uint64_t seed = 1;
};

// REQUIRES: every contender has as many passes, of as many records, and
// CheckRounds found nothing. Verdicts are those of the first pass.
MixedReport SummarizeMixed(const MixedNames& names,
                           const std::vector<MixedContender>& contenders);

std::string MixedTable(const MixedReport& report);
// With the settings of the run in front: docs/eval.md.
std::string MixedJson(const std::map<std::string, std::string>& settings,
                      const std::vector<MixedReport>& reports);

}  // namespace aio::eval
