// SPDX-License-Identifier: Apache-2.0
#include "cli/forecasts.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace aio::cli {
namespace {

// As a decision log has it: a first token after so long, and then 10 more.
boost::json::object Took(int64_t ttft_ms, int64_t token_ms) {
  return {{"variant", "small"},
          {"error", ""},
          {"attempts", 1},
          {"to_first_token_ns", ttft_ms * 1'000'000},
          {"attempt_ns", (ttft_ms + 10 * token_ms) * 1'000'000},
          {"completion_tokens", 11}};
}

TEST(ForecastsTest, HalfAndNineteenInTwentyAreAtMostSoFarOff) {
  Forecasts forecasts;
  cost::Price said;
  said.ttft = 0.100;
  said.token = 0.010;
  // 1 % to 21 % too short, and always a token in 8 ms.
  for (int i = 1; i <= 21; ++i) forecasts.Add(said, Took(100 + i, 8));
  const auto json = forecasts.ToJson();
  for (const char* name : {"small", "all"}) {
    const auto& of = json.at(name).as_object();
    EXPECT_EQ(of.at("ttft").at("n"), 21);
    EXPECT_NEAR(of.at("ttft").at("ratio_p50").as_double(), 1.11, 1e-9);
    EXPECT_NEAR(of.at("ttft").at("error_p50").as_double(), 0.11, 1e-9);
    EXPECT_NEAR(of.at("ttft").at("error_p95").as_double(), 0.20, 1e-9);
    EXPECT_NEAR(of.at("tpot").at("error_p95").as_double(), 0.20, 1e-9);
  }
  EXPECT_NE(forecasts.Table().find("11 %/20 %"), std::string::npos)
      << forecasts.Table();
}

TEST(ForecastsTest, WhatFailedOrWasTriedTwiceTeachesNothing) {
  Forecasts forecasts;
  cost::Price said;
  said.ttft = said.token = 1;
  auto failed = Took(100, 8);
  failed["error"] = "UNAVAILABLE";
  forecasts.Add(said, failed);
  auto again = Took(100, 8);
  again["attempts"] = 2;
  forecasts.Add(said, again);
  EXPECT_TRUE(forecasts.empty());
  auto one = Took(100, 8);
  one["completion_tokens"] = 1;
  forecasts.Add(said, one);
  EXPECT_TRUE(forecasts.ToJson().at("all").at("tpot").is_null());
}

}  // namespace
}  // namespace aio::cli
