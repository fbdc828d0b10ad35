// SPDX-License-Identifier: Apache-2.0
#include "engine/memory_plan.h"

#include <gtest/gtest.h>

namespace aio::engine {
namespace {

MemoryNeed Need(int64_t weights, int context) {
  MemoryNeed need;
  need.variant = "v" + std::to_string(weights);
  need.weight_bytes = weights;
  need.scratch_bytes = 10;
  need.page_bytes = 100;
  need.context_tokens = context;
  return need;
}

TEST(MemoryPlanTest, KvIsHalvedUntilAllFits) {
  const std::vector<MemoryNeed> needs = {Need(1000, 64), Need(5000, 33)};
  auto plan = PlanMemory(1 << 20, 8, needs);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->shares[0].pages, 16);
  EXPECT_EQ(plan->shares[1].pages, 16) << "33 tokens take two pages";
  EXPECT_EQ(plan->total_bytes, 1000 + 5000 + 20 + 3200);
  plan = PlanMemory(6020 + 1600, 8, needs);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->shares[0].pages, 8);
  plan = PlanMemory(6020 + 400, 8, needs);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->shares[0].pages, 2) << "one whole context is the least";
}

TEST(MemoryPlanTest, WhatDoesNotFitIsRefusedWithTheNumbers) {
  const auto plan = PlanMemory(6419, 8, {Need(1000, 64), Need(5000, 33)});
  ASSERT_FALSE(plan);
  EXPECT_NE(plan.error().message.find("6.3 KiB"), std::string::npos)
      << plan.error().message;
  EXPECT_NE(plan.error().message.find("v5000"), std::string::npos);
}

TEST(MemoryPlanTest, AskedKvIsGivenAndNeverBelowOneContext) {
  MemoryNeed need = Need(0, 64);
  need.kv_bytes = 1000;
  EXPECT_EQ(PlanMemory(0, 8, {need})->shares[0].pages, 10);
  need.kv_bytes = 1;
  EXPECT_EQ(PlanMemory(0, 8, {need})->shares[0].pages, 2);
}

TEST(MemoryPlanTest, SizesReadLikeSizes) {
  EXPECT_EQ(BytesText(512), "512 B");
  EXPECT_EQ(BytesText(3 << 19), "1.5 MiB");
}

}  // namespace
}  // namespace aio::engine
