// SPDX-License-Identifier: Apache-2.0
#include "openai/error.h"

#include <gtest/gtest.h>

#include "openai/json.h"

namespace aio::openai {
namespace {

TEST(ErrorTest, WritesTheApisShapeWithNullForWhatIsMissing) {
  EXPECT_EQ(ErrorJson({ErrorCode::kInvalidArgument, "no \"x\"", "messages[0]"}),
            R"({"error":{"message":"no \"x\"","type":"invalid_request_error",)"
            R"("param":"messages[0]","code":null}})");
  EXPECT_EQ(ErrorJson({ErrorCode::kDenied, "wrong key", ""}),
            R"({"error":{"message":"wrong key","type":"invalid_request_error",)"
            R"("param":null,"code":"invalid_api_key"}})");
}

TEST(ErrorTest, AGoodKeyForWhatItMayNotHaveIsForbidden) {
  EXPECT_EQ(HttpStatus({ErrorCode::kDenied, "wrong key", ""}), 401);
  const Error error{ErrorCode::kDenied, "not this one", "model"};
  EXPECT_EQ(HttpStatus(error), 403);
  EXPECT_EQ(
      ErrorJson(error),
      R"({"error":{"message":"not this one","type":"invalid_request_error",)"
      R"("param":"model","code":"not_allowed"}})");
}

TEST(ErrorTest, SurvivesTheWayThroughAnUpstream) {
  for (const ErrorCode code :
       {ErrorCode::kInvalidArgument, ErrorCode::kNotFound, ErrorCode::kDenied,
        ErrorCode::kOverloaded, ErrorCode::kUnavailable, ErrorCode::kDeadline,
        ErrorCode::kCancelled}) {
    const Error error{code, "because", "model"};
    const Error back = ParseError(HttpStatus(error), ErrorJson(error));
    EXPECT_EQ(back.code, code) << CodeName(code);
    EXPECT_EQ(back.message, "because");
    EXPECT_EQ(back.param, "model");
  }
}

TEST(ErrorTest, ReadsOtherServersShapes) {
  EXPECT_EQ(ParseError(400, R"({"object":"error","message":"m"})").message,
            "m");
  EXPECT_EQ(ParseError(404, R"({"detail":"Not Found"})").message, "Not Found");
  EXPECT_EQ(ParseError(500, R"({"error":"boom"})").message, "boom");
}

TEST(ErrorTest, QuotesTheBeginningOfWhatIsNoJson) {
  const Error error =
      ParseError(502, "<html>bad gateway\xFF" + std::string(5000, 'x'));
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_TRUE(error.message.starts_with("status 502: <html>bad gateway"));
  EXPECT_LT(error.message.size(), 300u);
  EXPECT_TRUE(ParseJson(ErrorJson(error)));
}

}  // namespace
}  // namespace aio::openai
