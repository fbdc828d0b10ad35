// SPDX-License-Identifier: Apache-2.0
#include "cli/step_cache.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "cli/cache_file.h"

namespace aio::cli {
namespace {

class StepCacheTest : public testing::Test {
 protected:
  StepCacheTest() {
    std::string path = testing::TempDir() + "stepsXXXXXX";
    root_ = mkdtemp(path.data());
    steps_.table.columns = {1, 2, 8};
    steps_.table.seconds = {0.1, 0.11, 1.0 / 7};
    steps_.table.kv_seconds_per_context_token = 1e-7;
    steps_.table.prefill_seconds_per_token = 0.01;
    steps_.table.pair_seconds = 1e-6;
    steps_.window = 3;
    steps_.whole_ratio = 1.02;
    steps_.seconds = 1.5;
  }
  ~StepCacheTest() override { std::filesystem::remove_all(root_); }
  void Put(const std::string& text) {
    std::ofstream(CacheFile(root_, "steps", "key")) << text;
  }

  std::string root_;
  engine::MeasuredSteps steps_;
};

TEST_F(StepCacheTest, WhatWasWrittenIsReadToTheLastBit) {
  const std::string folder = root_ + "/not/yet";
  ASSERT_TRUE(WriteSteps(folder, "key", steps_));
  const auto read = ReadSteps(folder, "key");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->table.columns, steps_.table.columns);
  EXPECT_EQ(read->table.seconds, steps_.table.seconds);
  EXPECT_EQ(read->table.kv_seconds_per_context_token, 1e-7);
  EXPECT_EQ(read->table.prefill_seconds_per_token, 0.01);
  EXPECT_EQ(read->table.pair_seconds, 1e-6);
  EXPECT_EQ(read->window, 3);
  EXPECT_EQ(read->whole_ratio, 1.02);
}

TEST_F(StepCacheTest, ABusyMinuteIsNotKept) {
  for (const double ratio : {10.2, 1.3, 0.5}) {
    steps_.whole_ratio = ratio;
    const auto written = WriteSteps(root_, "key", steps_);
    ASSERT_FALSE(written);
    EXPECT_NE(written.error().message.find("busy"), std::string::npos);
    EXPECT_EQ(ReadSteps(root_, "key").error().code, ErrorCode::kNotFound);
  }
  steps_.whole_ratio = 0;  // not checked
  EXPECT_TRUE(WriteSteps(root_, "key", steps_));
  steps_.wide = false;
  EXPECT_FALSE(WriteSteps(root_, "key", steps_));
}

// Of a version that kept it: 4 columns, from which prompts were foretold.
TEST_F(StepCacheTest, ABusyMinuteThatWasKeptIsMeasuredAnew) {
  Put(R"({"key": "key", "columns": [1, 4], "seconds": [0.09, 0.1],
          "kv_seconds_per_context_token": 0, "prefill_seconds_per_token": 0.003,
          "pair_seconds": 0, "window": 34, "whole_ratio": 1.34,
          "measured_in_seconds": 2, "wide": true})");
  const auto read = ReadSteps(root_, "key");
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("busy"), std::string::npos);
}

TEST_F(StepCacheTest, AnotherKeyIsNotFoundAndAnotherKeysFileRefused) {
  ASSERT_TRUE(WriteSteps(root_, "key", steps_));
  EXPECT_EQ(ReadSteps(root_, "kez").error().code, ErrorCode::kNotFound);
  std::filesystem::rename(CacheFile(root_, "steps", "key"),
                          CacheFile(root_, "steps", "kez"));
  EXPECT_EQ(ReadSteps(root_, "kez").error().code, ErrorCode::kCorrupt);
}

TEST_F(StepCacheTest, WhatIsNoTableIsCorrupt) {
  for (const char* text :
       {"", "{", "[]", "{}", R"({"key": 1})", R"({"key": "key"})",
        R"({"key": "key", "columns": [1, 2], "seconds": [1],
            "kv_seconds_per_context_token": 0, "prefill_seconds_per_token": 0,
            "window": 1, "whole_ratio": 1, "measured_in_seconds": 1})",
        R"({"key": "key", "columns": [1], "seconds": [-1],
            "kv_seconds_per_context_token": 0, "prefill_seconds_per_token": 0,
            "window": 1, "whole_ratio": 1, "measured_in_seconds": 1})"}) {
    Put(text);
    const auto read = ReadSteps(root_, "key");
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt) << text;
  }
}

TEST_F(StepCacheTest, AFolderThatCannotBeIsAnErrorThatNamesIt) {
  std::ofstream(root_ + "/file") << "x";
  const auto written = WriteSteps(root_ + "/file/under", "key", steps_);
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find(root_ + "/file/under"),
            std::string::npos)
      << written.error().message;
}

}  // namespace
}  // namespace aio::cli
