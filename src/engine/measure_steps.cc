// SPDX-License-Identifier: Apache-2.0
#include "engine/measure_steps.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "base/median.h"

namespace aio::engine {
namespace {

using model::kPageTokens;

// Each twice the one before, so that what a wider one will take is known within
// a factor of two; then where kernels change.
constexpr std::array kWidths = {1, 2, 4, 8, 16, 32, 24, 12, 3, 6, 5};
constexpr int kWidest = 32;                          // of them
constexpr std::array kChunks = {512, 256, 128, 64};  // of prefill
constexpr int kChunksOfTime =
    4;  // as the narrower ones and one behind a context
constexpr int kRounds = 5;
constexpr int kRoundsEnough = 3;
// Of the widths, as long as `seconds_enough` lasts: a small model's few
// milliseconds may all have fallen into somebody else's.
constexpr int kWidthRounds = 50;
// At a step that was measured before; more of them for so long.
constexpr int kLooks = 3;
constexpr double kLookSeconds = 0.02;
constexpr int kContext = 2048;  // behind the column that reads a long one
constexpr int64_t kContextBytes = int64_t{256} << 20;  // of its KV at most
constexpr int64_t kCacheUsual = int64_t{32} << 20;
// A virtual machine may be told of the caches of all its host's processors.
constexpr int64_t kCacheMost = int64_t{128} << 20;
constexpr double kDiffersBy = 0.15;
// A whole step so many times its estimate has met something else than noise;
// as long as the next one takes less by so much, it is going away.
constexpr double kCold = 1.5, kWarmer = 0.9;
constexpr int kWarmUps = 4;
// A busy moment of the machine looks like layers that differ: so often both are
// timed again before more layers are.
constexpr int kSecondLooks = 3;
// Shares of the time limit: a whole step is run if it is thought to take up to
// the first; of what is left then, the others end each kind of measurement.
constexpr double kWholeShare = 0.5, kWidthsShare = 0.6, kContextShare = 0.75;

class Measurement {
 public:
  Measurement(model::Forward* forward, const MeasureOptions& options,
              const std::function<double()>& now)
      : forward_(*forward),
        options_(options),
        now_(now),
        begin_(now()),
        window_(FirstWindow()) {
    pages_.resize(static_cast<size_t>(forward_.pages()));
    std::iota(pages_.begin(), pages_.end(), 0);
  }

  MeasuredSteps Run() {
    FindWindow();
    const double left = options_.seconds_max - Spent();
    const double widths_begin = Spent();
    MeasureWidths(widths_begin + left * kWidthsShare);
    MeasureContext(widths_begin + left * kContextShare);
    MeasurePrefill();
    MeasurePairs();
    MeasuredSteps out;
    std::vector<double> spreads;
    for (const auto& [n, seconds] : samples_) {
      if (seconds.size() >= kRoundsEnough) {
        spreads.push_back(Median(seconds) / std::ranges::min(seconds));
      }
      table_.columns.push_back(n);
      // The fastest: other work on the machine only adds, and what is kept
      // for later starts must not be somebody's busy minute.
      table_.seconds.push_back(std::ranges::min(seconds));
    }
    out.table = table_;
    AddPrefillRate(&out.table);
    out.window = window_;
    out.whole_ratio = whole_ratio_;
    out.wide = chunk_ > 0 || table_.columns.back() >=
                                 std::min(kWidest, forward_.columns_max());
    if (!spreads.empty()) out.spread = Median(spreads);
    out.seconds = Spent();
    return out;
  }

  // The best of a few, after one that warms up.
  double OneWhole() {
    Decode(1, forward_.layers());
    double best = std::numeric_limits<double>::infinity();
    const double begin = Spent();
    for (int i = 0; i < kLooks || Spent() - begin < kLookSeconds; ++i) {
      best = std::min(best, Decode(1, forward_.layers()).step);
    }
    return best;
  }

 private:
  struct Sample {
    double step = 0;  // seconds of a whole step
    double cost = 0;  // seconds it took to find out
  };

  double Spent() const { return now_() - begin_; }
  int TokensMax() const {
    return static_cast<int>(
        std::min<int64_t>(forward_.context_tokens_max(),
                          int64_t{forward_.pages()} * kPageTokens));
  }

  // Layers with the last one, so many that a step of them evicts itself.
  int FirstWindow() const {
    const int layers = forward_.layers();
    const int64_t cache =
        2 *
        std::min(options_.cache_bytes > 0 ? options_.cache_bytes : kCacheUsual,
                 kCacheMost);
    const int64_t weights = forward_.WeightBytes(options_.bits != 8);
    const int64_t layer = std::max<int64_t>(1, weights / std::max(1, layers));
    return static_cast<int>(
        std::clamp<int64_t>(cache / layer + 1, std::min(2, layers), layers));
  }

  // Times a step of `window` layers. The last layer and the head are a step's
  // own: they drop columns without logits.
  Sample Time(int window) {
    const int inner = window - 1;
    const int all = forward_.layers() - 1;
    const double t0 = now_();
    forward_.Begin(columns_);
    forward_.Skip(all - inner);
    const double t1 = now_();
    bool done = inner > 0 && forward_.Advance(inner);
    const double t2 = now_();
    while (!done) done = forward_.Advance(2);
    const double t3 = now_();
    const double layers = inner == all ? t2 - t1 : (t2 - t1) / inner * all;
    return {t1 - t0 + layers + t3 - t2, t3 - t0};
  }

  // One column of each of n sequences that only begin; of one sequence, if
  // there are not pages for that.
  Sample Decode(int n, int window) {
    const bool apart = n <= forward_.pages();
    columns_.clear();
    for (int i = 0; i < n; ++i) {
      const auto page = static_cast<size_t>(apart ? i : 0);
      columns_.push_back({0, apart ? 0 : i,
                          std::span<const int32_t>(pages_).subspan(page),
                          i < options_.logits_max, options_.bits});
    }
    return Time(window);
  }

  // Positions [begin, begin + n) of a prompt.
  Sample Prefill(int begin, int n) {
    columns_.clear();
    for (int i = 0; i < n; ++i) {
      columns_.push_back({0, begin + i, pages_, i == n - 1, options_.bits});
    }
    return Time(window_);
  }

  // The first sample warms up and is not counted.
  void FindWindow() {
    Decode(1, window_);
    double estimate = Decode(1, window_).step;
    if (window_ == forward_.layers()) {
      whole_ratio_ = 1;
      return;
    }
    // Never run, the other layers may be slower once: the better of two.
    std::optional<double> whole;
    const double begun = now_();
    for (int i = 0; i < 2; ++i) {
      if (Spent() + estimate > kWholeShare * options_.seconds_max) break;
      const double step = Decode(1, forward_.layers()).step;
      whole = std::min(whole.value_or(step), step);
    }
    if (whole && *whole > kCold * estimate) {
      whole = WarmUp(*whole, estimate);
      estimate = Decode(1, window_).step;
      begin_ += now_() - begun;
    }
    if (!whole) return;
    const auto differs = [&] {
      return std::abs(*whole / estimate - 1) > kDiffersBy;
    };
    for (int i = 0; i < kSecondLooks && differs(); ++i) {
      if (Spent() + *whole + estimate > kWholeShare * options_.seconds_max) {
        break;
      }
      whole = std::min(*whole, Decode(1, forward_.layers()).step);
      estimate = std::min(estimate, Decode(1, window_).step);
    }
    while (differs() && window_ < forward_.layers()) {
      window_ = std::min(2 * window_, forward_.layers());
      estimate = Decode(1, window_).step;
    }
    whole_ratio_ = *whole / estimate;
  }

  // Where memory is not there yet (a virtual machine gets back slowly what it
  // had given away), the layers of the window are warm and the others are not:
  // whole steps until they are, which is no part of the measurement.
  double WarmUp(double whole, double estimate) {
    for (int i = 0; i < kWarmUps && whole > kCold * estimate; ++i) {
      const double step = Decode(1, forward_.layers()).step;
      if (step > kWarmer * whole) break;
      whole = step;
    }
    return whole;
  }

  // No wider than steps of decoding may be.
  bool Possible(int n) const {
    return n <= forward_.columns_max() &&
           (n <= forward_.pages() || n <= TokensMax());
  }

  // What a sample of n columns will cost at most, by those there are.
  double Expected(int n) const {
    const auto wider = cost_.lower_bound(n);
    if (wider != cost_.end()) return wider->second;
    if (cost_.empty()) return 0;
    const auto& [columns, seconds] = *cost_.rbegin();
    return seconds * n / columns;
  }

  // The widths in turn, so that a slow moment of the machine falls on all.
  void MeasureWidths(double deadline) {
    const double begin = Spent();
    for (int round = 0; round < kWidthRounds; ++round) {
      if (round >= kRoundsEnough && Spent() - begin > options_.seconds_enough) {
        return;
      }
      for (const int n : kWidths) {
        const bool first = cost_.empty();
        if (!Possible(n)) continue;
        if (!first && Spent() + Expected(n) > deadline) continue;
        const Sample sample = Decode(n, window_);
        samples_[n].push_back(sample.step);
        double& cost = cost_[n];
        cost = std::max(cost, sample.cost);
      }
    }
  }

  // One column behind a context and one behind none, in pairs. The context is
  // one page of a prompt and copies of it: distinct memory with numbers in it,
  // as never written pages would be one page of zeros to the processor's cache.
  void MeasureContext(double deadline) {
    const int64_t page_bytes =
        std::max<int64_t>(1, forward_.kv_bytes_per_token() * kPageTokens);
    const auto pages = static_cast<int>(
        std::min<int64_t>(std::min(kContext, TokensMax()) / kPageTokens,
                          kContextBytes / page_bytes));
    if (pages < 2 || forward_.columns_max() < kPageTokens ||
        Spent() + Expected(kPageTokens) + 4 * Expected(1) > deadline) {
      return;
    }
    Prefill(0, kPageTokens);
    for (int page = 1; page < pages; ++page) forward_.CopyPage(0, page);
    context_ = pages * kPageTokens;
    const int last = context_ - 1;
    std::vector<double> differences;
    double cost = 2 * Expected(1);
    for (int i = 0; i < kRounds; ++i) {
      if (Spent() + cost > deadline) break;
      columns_.assign(1, {0, last, pages_, true});
      const Sample behind = Time(window_);
      columns_.assign(1, {0, 0, pages_, true});
      const Sample alone = Time(window_);
      differences.push_back(behind.step - alone.step);
      cost = std::max(cost, behind.cost + alone.cost);
    }
    if (differences.empty()) return;
    table_.kv_seconds_per_context_token =
        std::max(0.0, Median(differences) / last);
  }

  // The widest chunk of a prompt that leaves time for narrower ones, then
  // these.
  void MeasurePrefill() {
    const int widest = samples_.rbegin()->first;
    for (const int n : kChunks) {
      if (n <= widest || n > forward_.columns_max() || n > TokensMax()) {
        continue;
      }
      const bool first = chunk_ == 0;
      if (Spent() + (first ? kChunksOfTime : 1) * Expected(n) >
          options_.seconds_max) {
        continue;
      }
      if (first) chunk_ = n;
      const Sample sample = Prefill(0, n);
      samples_[n].push_back(sample.step);
      cost_[n] = sample.cost;
    }
  }

  // The same chunk behind a context and behind none. What the context's KV
  // takes to be read is apart.
  void MeasurePairs() {
    const int begin = std::min(context_, TokensMax() - chunk_);
    if (chunk_ == 0 || begin <= 0) return;
    std::vector<double> differences;
    double cost = 2 * Expected(chunk_);
    const double first = Spent();
    for (int i = 0; i < kRoundsEnough; ++i) {
      if (Spent() + cost > options_.seconds_max) break;
      if (i > 0 && Spent() - first > options_.seconds_enough) break;
      const Sample behind = Prefill(begin, chunk_);
      const Sample alone = Prefill(0, chunk_);
      differences.push_back(behind.step - alone.step);
      samples_[chunk_].push_back(alone.step);
      cost = std::max(cost, behind.cost + alone.cost);
    }
    if (differences.empty()) return;
    const double kv = begin * table_.kv_seconds_per_context_token;
    table_.pair_seconds =
        std::max(0.0, (Median(differences) - kv) / begin / chunk_);
  }

  // What a column of the widest chunk costs beyond the widths of decoding: two
  // times far apart, as each may have met a busy moment. Without a chunk, what
  // the last widths did.
  void AddPrefillRate(cost::StepTable* table) const {
    const auto& columns = table->columns;
    const size_t last = columns.size() - 1;
    if (last == 0) {
      table->prefill_seconds_per_token = table->seconds[0] / columns[0];
      return;
    }
    size_t before = last - 1;
    while (chunk_ > 0 && before > 0 && columns[before] > kWidest) --before;
    table->prefill_seconds_per_token =
        std::max(0.0, (table->seconds[last] - table->seconds[before]) /
                          (columns[last] - columns[before]));
  }

  model::Forward& forward_;
  const MeasureOptions options_;
  const std::function<double()>& now_;
  double begin_;
  std::vector<int32_t> pages_;  // all there are
  std::vector<model::Column> columns_;
  int window_;  // layers that a sample computes, the last one included
  double whole_ratio_ = 0;
  std::map<int, std::vector<double>> samples_;  // columns -> whole steps
  std::map<int, double> cost_;  // columns -> seconds of a sample, the slowest
  cost::StepTable table_;
  int context_ = 0;  // tokens in pages that have numbers
  int chunk_ = 0;    // the widest that was run
};

}  // namespace

double StepSeconds(model::Forward* forward, const MeasureOptions& options,
                   const std::function<double()>& now) {
  return Measurement(forward, options, now).OneWhole();
}

Result<MeasuredSteps> MeasureSteps(model::Forward* forward,
                                   const MeasureOptions& options,
                                   const std::function<double()>& now) {
  MeasuredSteps steps = Measurement(forward, options, now).Run();
  auto checked = cost::Checked(std::move(steps.table));
  if (!checked) {
    return Error{ErrorCode::kInternal, checked.error().message, ""};
  }
  steps.table = *std::move(checked);
  return steps;
}

}  // namespace aio::engine
