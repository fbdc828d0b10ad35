// SPDX-License-Identifier: Apache-2.0
#include "upstream/labels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace aio::upstream {
namespace {

core::TokenLogprob Shown(
    std::vector<std::pair<std::string, double>> probabilities) {
  core::TokenLogprob token;
  for (const auto& [text, p] : probabilities) {
    token.top.push_back({0, text, static_cast<float>(std::log(p))});
  }
  return token;
}

TEST(LabelLogitsTest, AddsUpTheTokensThatReadAsTheLabel) {
  const auto logits = LabelLogits(
      Shown({{" code", 0.4}, {"code", 0.1}, {" math", 0.25}, {"x", 0.01}}),
      {" code", " math"});
  ASSERT_TRUE(logits);
  EXPECT_NEAR(std::exp((*logits)[0]), 0.5, 1e-6);
  EXPECT_NEAR(std::exp((*logits)[1]), 0.25, 1e-6);
}

TEST(LabelLogitsTest, GivesAnUnseenLabelTheLeastProbabilityShown) {
  const auto logits =
      LabelLogits(Shown({{"code", 0.6}, {"x", 0.1}}), {"code", "math"});
  ASSERT_TRUE(logits);
  EXPECT_NEAR(std::exp((*logits)[1]), 0.1, 1e-6);
}

TEST(LabelLogitsTest, GivesAnUnseenLabelNoMoreThanIsLeft) {
  const auto logits =
      LabelLogits(Shown({{"code", 0.59}, {"x", 0.4}}), {"code", "math"});
  ASSERT_TRUE(logits);
  EXPECT_NEAR(std::exp((*logits)[1]), 0.01, 1e-5);
}

TEST(LabelLogitsTest, FailsWhereNoLabelWasSeen) {
  const auto logits = LabelLogits(Shown({{"The", 0.9}}), {"code", "math"});
  ASSERT_FALSE(logits);
  EXPECT_EQ(logits.error().code, ErrorCode::kUnsupported);
}

TEST(LabelLogitsTest, StaysFiniteWhateverAnUpstreamClaims) {
  core::TokenLogprob token;
  token.top = {{0, "code", 1e30F},
               {0, "math", -std::numeric_limits<float>::infinity()},
               {0, "qa", std::numeric_limits<float>::quiet_NaN()}};
  const auto logits = LabelLogits(token, {"code", "math", "qa"});
  ASSERT_TRUE(logits);
  for (const float logit : *logits) EXPECT_TRUE(std::isfinite(logit));
}

}  // namespace
}  // namespace aio::upstream
