// SPDX-License-Identifier: Apache-2.0
#include "cost/step_table.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "base/check.h"

namespace aio::cost {
namespace {

// Kernels pass over the weights for this many columns at once.
constexpr int kPass = 8;
// No step is wider; ends the search where the table says that columns are free.
constexpr int kColumnsMost = 1 << 16;

bool IsTime(double seconds) { return std::isfinite(seconds) && seconds >= 0; }

}  // namespace

double StepTable::Seconds(int n, int64_t context_tokens) const {
  CHECK(n >= 1 && !columns.empty());
  const double kv =
      kv_seconds_per_context_token * static_cast<double>(context_tokens);
  const auto next = std::lower_bound(columns.begin(), columns.end(), n);
  if (next == columns.end()) {
    return seconds.back() + (n - columns.back()) * prefill_seconds_per_token +
           kv;
  }
  const auto i = static_cast<size_t>(next - columns.begin());
  if (*next == n || i == 0) return seconds[i] + kv;
  const double share =
      static_cast<double>(n - columns[i - 1]) / (columns[i] - columns[i - 1]);
  return seconds[i - 1] + share * (seconds[i] - seconds[i - 1]) + kv;
}

double StepTable::C(int n) const {
  const double one = Seconds(1, 0);
  return one > 0 ? Seconds(n, 0) / one : 1;
}

// Times never decrease, so the multiples that fit come first.
int StepTable::ColumnsWithin(double factor, int decode_columns) const {
  const double limit = factor * Seconds(decode_columns, 0);
  int fits = 0, fails = kColumnsMost / kPass;  // in passes
  while (fails - fits > 1) {
    const int middle = fits + (fails - fits) / 2;
    (Seconds(middle * kPass, 0) <= limit ? fits : fails) = middle;
  }
  return fits * kPass;
}

Result<StepTable> Checked(StepTable measured) {
  const auto wrong = [](const std::string& what) {
    return Error{ErrorCode::kInvalidArgument, "step table: " + what, ""};
  };
  const auto& columns = measured.columns;
  if (columns.empty() || columns.size() != measured.seconds.size()) {
    return wrong(std::to_string(columns.size()) + " column counts for " +
                 std::to_string(measured.seconds.size()) + " times");
  }
  if (columns.front() < 1 ||
      !std::is_sorted(columns.begin(), columns.end(), std::less_equal<int>())) {
    return wrong("column counts must ascend from 1 or more");
  }
  bool times = IsTime(measured.kv_seconds_per_context_token) &&
               IsTime(measured.prefill_seconds_per_token) &&
               IsTime(measured.pair_seconds);
  for (const double s : measured.seconds) times = times && IsTime(s);
  if (!times) return wrong("a time is negative or not a number");
  // N columns take at most N steps of the first entry: more was the machine's
  // other work, seen on small models beside a busy neighbour.
  const double one = measured.seconds.front() / columns.front();
  double most = 0;
  for (size_t i = 0; i < columns.size(); ++i) {
    double& s = measured.seconds[i];
    s = most = std::max(most, std::min(s, one * columns[i]));
  }
  return measured;
}

}  // namespace aio::cost
