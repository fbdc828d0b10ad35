// SPDX-License-Identifier: Apache-2.0
#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <span>
#include <vector>

#include "base/random.h"

namespace aio::engine {
namespace {

const std::vector<float> kLogits = {0.0f, 2.0f, 1.0f, 2.0f, -1.0f};

core::Sampling At(float temperature) {
  core::Sampling s;
  s.temperature = temperature;
  return s;
}

TEST(SamplerTest, GreedyTakesTheLowestIdOfEqualLogits) {
  Sampler sampler(At(0), 1, 0, {});
  EXPECT_EQ(sampler.Sample(kLogits, 0), 1);
}

TEST(SamplerTest, NotANumberNeverWins) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> logits = {nan, -5.0f, nan};
  EXPECT_EQ(Sampler(At(0), 1, 0, {}).Sample(logits, 0), 1);
  EXPECT_EQ(Sampler(At(1), 1, 0, {}).Sample(logits, 0), 1);
}

TEST(SamplerTest, GreedyFindsTheFirstOfTheLargestWhereverItIs) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Sampler sampler(At(0), 1, 0, {});
  for (size_t size = 1; size <= 50; ++size) {
    std::vector<float> logits(size, -kInfinity);
    EXPECT_EQ(sampler.Sample(logits, 0), 0) << size << " equal logits";
    for (size_t at = 0; at < size; ++at) {
      logits.assign(size, -3.0f);
      logits[at] = -2.0f;
      logits[size - 1] = -2.0f;
      logits[size / 2] = at < size / 2 ? kInfinity * 0 : logits[size / 2];
      EXPECT_EQ(sampler.Sample(logits, 0), static_cast<int32_t>(at))
          << size << " logits";
    }
  }
}

// Frequencies over many positions against the exact probabilities; 4 sigma.
void ExpectFrequencies(const core::Sampling& sampling,
                       const std::map<int32_t, double>& expected) {
  constexpr int kDraws = 40000;
  std::map<int32_t, int> counts;
  Sampler sampler(sampling, 7, 0, {});
  for (int i = 0; i < kDraws; ++i) ++counts[sampler.Sample(kLogits, i)];
  for (int32_t id = 0; id < static_cast<int32_t>(kLogits.size()); ++id) {
    const auto it = expected.find(id);
    const double p = it == expected.end() ? 0 : it->second;
    EXPECT_NEAR(counts[id] / double{kDraws}, p,
                4 * std::sqrt(p * (1 - p) / kDraws) + 1e-12)
        << "token " << id;
  }
}

std::map<int32_t, double> Softmax(double temperature,
                                  const std::vector<int32_t>& kept) {
  double sum = 0;
  for (const int32_t id : kept) sum += std::exp(kLogits[id] / temperature);
  std::map<int32_t, double> p;
  for (const int32_t id : kept) {
    p[id] = std::exp(kLogits[id] / temperature) / sum;
  }
  return p;
}

TEST(SamplerTest, DrawsFollowTheTemperedDistribution) {
  ExpectFrequencies(At(1), Softmax(1, {0, 1, 2, 3, 4}));
  ExpectFrequencies(At(0.5f), Softmax(0.5, {0, 1, 2, 3, 4}));
}

TEST(SamplerTest, TopKTopPAndMinPKeepWhatTheySay) {
  core::Sampling s = At(1);
  s.top_k = 2;
  ExpectFrequencies(s, Softmax(1, {1, 3}));
  s = At(1);
  s.top_p = 0.8f;  // 0.397 + 0.397 < 0.8 <= + 0.146
  ExpectFrequencies(s, Softmax(1, {1, 2, 3}));
  s = At(1);
  s.min_p = 0.3f;  // exp(-1) = 0.37 stays, exp(-2) = 0.14 goes
  ExpectFrequencies(s, Softmax(1, {1, 2, 3}));
}

// The definition: all candidates in order.
int32_t DrawByDefinition(const core::Sampling& s, std::span<const float> logits,
                         double unit) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::ranges::stable_sort(ids, std::greater(),
                           [&](int32_t id) { return logits[id]; });
  if (s.top_k > 0) ids.resize(s.top_k);
  std::vector<double> weights;
  for (const int32_t id : ids) {
    const double nats = double{logits[id]} - logits[ids[0]];
    const double w = std::exp(nats / s.temperature);
    if (w >= s.min_p) weights.push_back(w);
  }
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  double kept = 0;
  size_t count = 0;
  while (count < weights.size() && (count == 0 || kept < s.top_p * all)) {
    kept += weights[count++];
  }
  double target = unit * kept;
  size_t i = 0;
  while (i + 1 < count && target >= weights[i]) target -= weights[i++];
  return ids[i];
}

TEST(SamplerTest, DrawsAreThoseOfTheWholeOrder) {
  std::vector<float> logits(3000);
  for (size_t i = 0; i < logits.size(); ++i) {
    // Many equal ones, and a few far above.
    logits[i] = static_cast<float>(RandomBits(3, 1, i) % 64) / 8.0f;
    if (i % 500 == 7) logits[i] += 6;
  }
  for (const float temperature : {0.3f, 1.0f, 1.9f}) {
    for (const float top_p : {1.0f, 0.9f, 0.2f}) {
      for (const float min_p : {0.0f, 0.001f, 0.5f}) {
        for (const int top_k : {0, 1, 50}) {
          core::Sampling s = At(temperature);
          s.top_p = top_p;
          s.min_p = min_p;
          s.top_k = top_k;
          Sampler sampler(s, 11, 0, {});
          for (int position = 0; position < 20; ++position) {
            const double unit =
                RandomUnit(11, 0, static_cast<uint64_t>(position));
            EXPECT_EQ(sampler.Sample(logits, position),
                      DrawByDefinition(s, logits, unit))
                << temperature << " " << top_p << " " << min_p << " " << top_k;
          }
        }
      }
    }
  }
}

TEST(SamplerTest, PenaltiesTurnTheGreedyChoiceAway) {
  core::Sampling s = At(0);
  s.presence_penalty = 0.5f;
  Sampler presence(s, 1, 0, {});
  EXPECT_EQ(presence.Sample(kLogits, 0), 1);
  presence.Accept(1);
  EXPECT_EQ(presence.Sample(kLogits, 1), 3);
  presence.Accept(3);
  EXPECT_EQ(presence.Sample(kLogits, 2), 1) << "presence counts once";

  s = At(0);
  s.frequency_penalty = 0.6f;
  Sampler frequency(s, 1, 0, {});
  for (const int32_t id : {1, 1, 3, 3}) frequency.Accept(id);
  EXPECT_EQ(frequency.Sample(kLogits, 4), 2) << "2 - 2 x 0.6 < 1";

  s = At(0);
  s.repetition_penalty = 3.0f;
  const std::vector<int32_t> prompt = {1, 3, 1};
  EXPECT_EQ(Sampler(s, 1, 0, prompt).Sample(kLogits, 0), 2)
      << "the prompt counts too";
}

TEST(SamplerTest, ADrawDependsOnSeedChoiceAndPositionOnly) {
  Sampler a(At(1), 9, 1, {});
  Sampler b(At(1), 9, 1, {});
  std::vector<int32_t> forward, backward(50);
  for (int i = 0; i < 50; ++i) forward.push_back(a.Sample(kLogits, i));
  for (int i = 49; i >= 0; --i) backward[i] = b.Sample(kLogits, i);
  EXPECT_EQ(forward, backward);
  Sampler other(At(1), 9, 2, {});
  std::vector<int32_t> different;
  for (int i = 0; i < 50; ++i) different.push_back(other.Sample(kLogits, i));
  EXPECT_NE(forward, different);
}

TEST(SamplerTest, LogprobsAreALogSoftmaxWhateverTheTemperature) {
  const core::TokenLogprob l = LogprobOf(kLogits, 2, 3);
  double sum = 0;
  for (const float x : kLogits) sum += std::exp(double{x});
  EXPECT_NEAR(l.logprob, 1 - std::log(sum), 1e-6);
  ASSERT_EQ(l.top.size(), 3u);
  EXPECT_EQ(l.top[0].id, 1);
  EXPECT_EQ(l.top[1].id, 3);
  EXPECT_EQ(l.top[2].id, 2);
  EXPECT_FLOAT_EQ(l.top[2].logprob, l.logprob);
}

}  // namespace
}  // namespace aio::engine
