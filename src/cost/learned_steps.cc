// SPDX-License-Identifier: Apache-2.0
#include "cost/learned_steps.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace aio::cost {
namespace {

// What makes one of a coefficient's units about as much as one of another's.
constexpr double kRequests = 16;
constexpr double kContextTokens = 16384;
constexpr double kPromptTokens = 1024;
// What is left of a guess in the end, in samples.
constexpr double kPriorMin = 0.1;
// A prompt so long tells what one more of its tokens costs.
constexpr int kPromptColumns = 512;

std::array<double, 3> TokenPrior(const StepCost& guess, int sequences_max,
                                 double unit) {
  const int many = std::max(2, std::min(sequences_max, 16));
  StepSize one, all;
  all.columns = many;
  const double slope =
      (guess.Seconds(all) - guess.Seconds(one)) / (many - 1) / unit;
  return {1, slope * kRequests,
          guess.table.kv_seconds_per_context_token * kContextTokens / unit};
}

std::array<double, 2> PromptPrior(const StepCost& guess, double unit) {
  StepSize prompt;
  prompt.columns = kPromptColumns;
  prompt.prefill = true;
  prompt.longest = kPromptColumns;
  const double rate = guess.Seconds(prompt) / kPromptColumns / unit;
  return {1, rate * kPromptTokens};
}

}  // namespace

template <size_t N>
void ForgettingFit<N>::Add(const Vector& x, double y) {
  for (const double v : x) {
    if (!std::isfinite(v)) return;
  }
  if (!std::isfinite(y)) return;
  double said = 0;
  for (size_t i = 0; i < N; ++i) said += prior_[i] * x[i];
  seen_ = seen_ * keep_ + y;
  said_ = said_ * keep_ + said;
  weight_ = std::max(weight_ * keep_, kPriorMin);
  for (size_t i = 0; i < N; ++i) {
    for (size_t j = 0; j < N; ++j) xx_[i][j] = xx_[i][j] * keep_ + x[i] * x[j];
    xy_[i] = xy_[i] * keep_ + x[i] * y;
  }
}

// (weight I + XX) c = weight scaled prior + XY, by elimination: positive
// definite, so no pivot is zero.
template <size_t N>
typename ForgettingFit<N>::Vector ForgettingFit<N>::Coefficients() const {
  std::array<Vector, N> a = xx_;
  Vector c = xy_;
  for (size_t i = 0; i < N; ++i) {
    a[i][i] += weight_;
    c[i] += weight_ * prior_[i] * seen_ / said_;
  }
  for (size_t i = 0; i < N; ++i) {
    for (size_t r = i + 1; r < N; ++r) {
      const double factor = a[r][i] / a[i][i];
      for (size_t j = i; j < N; ++j) a[r][j] -= factor * a[i][j];
      c[r] -= factor * c[i];
    }
  }
  for (size_t i = N; i-- > 0;) {
    for (size_t j = i + 1; j < N; ++j) c[i] -= a[i][j] * c[j];
    c[i] /= a[i][i];
  }
  return c;
}

template class ForgettingFit<2>;
template class ForgettingFit<3>;

LearnedSteps::LearnedSteps(const StepCost& guess, int sequences_max,
                           Options options)
    : sequences_max_(std::max(1, sequences_max)),
      unit_(std::max(guess.Seconds(StepSize()), 1e-6)),
      token_(TokenPrior(guess, sequences_max_, unit_), options.prior,
             1 - 1 / std::max(1.0, options.memory)),
      prompt_(PromptPrior(guess, unit_), options.prior,
              1 - 1 / std::max(1.0, options.memory)) {}

void LearnedSteps::Learn(const Answer& answer) {
  if (!(answer.seconds_per_token > 0) || !(answer.requests > 0)) return;
  // It was there itself, whatever rounding says.
  token_.Add({1, std::max(answer.requests - 1, 0.0) / kRequests,
              answer.context_tokens / kContextTokens},
             answer.seconds_per_token / unit_);
}

void LearnedSteps::LearnPrompt(int tokens, double seconds) {
  if (tokens < 1 || !(seconds > 0)) return;
  prompt_.Add({1, tokens / kPromptTokens}, seconds / unit_);
}

// Nothing gets cheaper by more work, and nothing is free.
StepCost LearnedSteps::Now() const {
  const auto token = token_.Coefficients();
  const auto prompt = prompt_.Coefficients();
  const double one = unit_ * std::max(token[0], 0.01);
  const double more = unit_ * std::max(token[1], 0.0) / kRequests;
  const double rate = unit_ * std::max(prompt[1], 1e-4) / kPromptTokens;
  StepCost steps;
  StepTable& table = steps.table;
  for (int n = 1; n < sequences_max_; n *= 2) {
    table.columns.push_back(n);
    table.seconds.push_back(one + more * (n - 1));
  }
  table.columns.push_back(sequences_max_);
  table.seconds.push_back(one + more * (sequences_max_ - 1));
  const int wide = std::max(kPromptColumns, sequences_max_ + 1);
  table.columns.push_back(wide);
  table.seconds.push_back(std::max(
      table.seconds.back(), unit_ * std::max(prompt[0], 0.0) + rate * wide));
  table.prefill_seconds_per_token = rate;
  table.kv_seconds_per_context_token =
      unit_ * std::max(token[2], 0.0) / kContextTokens;
  return steps;
}

StepCost UnknownSteps() {
  StepCost steps;
  steps.table.columns = {1, 16, 512};
  steps.table.seconds = {0.025, 0.03, 0.08};
  steps.table.prefill_seconds_per_token = 1e-4;
  return steps;
}

}  // namespace aio::cost
