// SPDX-License-Identifier: Apache-2.0
#include "server/route_json.h"

#include <gtest/gtest.h>

#include <limits>

#include "openai/json.h"

namespace aio::server {
namespace {

TEST(RouteJsonTest, SaysEverythingThatDecidedAndStaysJson) {
  orchestrator::Explanation explanation;
  explanation.intent.probabilities.fill(0);
  explanation.intent.probabilities[0] = 0.75;
  explanation.intent.probabilities[3] = 0.25;
  explanation.intent.source = core::IntentSource::kText;
  explanation.variant = "small";
  explanation.reason = "code, \"quoted\"";
  explanation.probe = "text";
  explanation.candidates.resize(2);
  explanation.candidates[0].variant = "small";
  explanation.candidates[0].why = "chosen";
  explanation.candidates[0].estimate.bytes_read = 1000000000;
  explanation.candidates[0].quality = 0.875;
  explanation.thinking = explanation.candidates[0].thinking =
      core::Thinking::kOff;
  explanation.candidates[1].estimate.price =
      cost::Price{.prefill = 1, .step = 0.5, .steps = 4, .others = 7};
  explanation.candidates[1].device_price = 2.5;
  explanation.candidates[1].variant = "large";
  explanation.candidates[1].estimate.seconds =
      std::numeric_limits<double>::infinity();
  const std::string text = RouteJson(explanation);
  EXPECT_TRUE(text.starts_with(
      R"({"intent":{"label":"code","probabilities":{"code":0.75,"math":0,)"))
      << text;
  const auto parsed = openai::ParseJson(text);
  ASSERT_TRUE(parsed) << text;
  const auto& answer = parsed->get_object();
  EXPECT_EQ(openai::StringAt(answer, "reason"), "code, \"quoted\"");
  EXPECT_NEAR(*openai::AsNumber(answer.at("intent").at("entropy")), 0.5623,
              1e-4);
  const auto& candidates = answer.at("candidates").as_array();
  ASSERT_EQ(candidates.size(), 2u);
  EXPECT_NE(text.find("\"bytes_read\":1000000000}"), std::string::npos);
  EXPECT_EQ(openai::AsInteger(candidates[1].at("estimate").at("seconds")), 0);
  EXPECT_EQ(openai::AsNumber(candidates[0].at("quality")), 0.875);
  EXPECT_FALSE(candidates[1].get_object().contains("quality"));
  EXPECT_EQ(openai::StringAt(answer, "thinking"), "off");
  EXPECT_EQ(openai::StringAt(candidates[0].get_object(), "thinking"), "off");
  EXPECT_FALSE(candidates[1].get_object().contains("thinking"));
  EXPECT_FALSE(candidates[0].at("estimate").get_object().contains("price"));
  const auto& price = candidates[1].at("estimate").at("price");
  EXPECT_EQ(openai::AsNumber(price.at("device_seconds")), 3);
  EXPECT_EQ(openai::AsNumber(price.at("device_price")), 2.5);
  EXPECT_EQ(openai::AsNumber(price.at("others_seconds")), 7);
}

TEST(RouteJsonTest, SaysNullWhereNoVariantFits) {
  const auto parsed = openai::ParseJson(RouteJson({}));
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->at("variant").is_null());
  EXPECT_TRUE(parsed->at("candidates").as_array().empty());
}

TEST(RouteJsonTest, NamesNoIntentWhereNobodyWasAsked) {
  EXPECT_TRUE(RouteJson({}).starts_with(R"({"intent":{"label":"unknown",)"));
}

}  // namespace
}  // namespace aio::server
