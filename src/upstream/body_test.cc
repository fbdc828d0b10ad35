// SPDX-License-Identifier: Apache-2.0
#include "upstream/body.h"

#include <gtest/gtest.h>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "base/utf8.h"

namespace aio::upstream {
namespace {

namespace json = boost::json;

json::object Parsed(const Result<std::string>& body) {
  EXPECT_TRUE(body);
  return body ? json::parse(*body).as_object() : json::object();
}

core::Request ChatRequest() {
  core::Request request;
  request.messages = {{core::Role::kSystem, "Be brief."},
                      {core::Role::kUser, "Hello"}};
  return request;
}

TEST(ServingBodyTest, KeepsTheClientsFieldsAndReplacesOurs) {
  core::Request request;
  request.raw_json =
      R"({"model":"auto","messages":[{"role":"user","content":"é"}],)"
      R"("aio":{"quality":0.5},"unheard_of":{"a":[1,2.5,null]},"stream":false,)"
      R"("stream_options":{"include_obfuscation":false}})";
  const json::object body = Parsed(ServingBody(request, "Pangu-7B"));
  EXPECT_EQ(body.at("model"), "Pangu-7B");
  EXPECT_EQ(body.if_contains("aio"), nullptr);
  EXPECT_EQ(body.at("unheard_of"), json::parse(R"({"a":[1,2.5,null]})"));
  EXPECT_EQ(body.at("messages"),
            json::parse(R"([{"role":"user","content":"é"}])"));
  EXPECT_EQ(body.at("stream"), true);
  EXPECT_EQ(
      body.at("stream_options"),
      json::parse(R"({"include_obfuscation":false,"include_usage":true})"));
}

TEST(ServingBodyTest, TellsTheTemplateNotToThink) {
  using core::Thinking;
  const auto tell = [](const char* fields, Thinking thinking = Thinking::kOff) {
    core::Request request;
    request.thinking = thinking;
    request.raw_json = R"({"messages":[])" + std::string(fields) + "}";
    const json::object body = Parsed(
        ServingBody(request, "m", {core::ThinkingSwitch::kTemplate, thinking}));
    return json::serialize(body.at("chat_template_kwargs"));
  };
  EXPECT_EQ(tell(""), R"({"enable_thinking":false})");
  EXPECT_EQ(tell(R"(,"chat_template_kwargs":null)"),
            R"({"enable_thinking":false})");
  EXPECT_EQ(tell("", Thinking::kOn), R"({"enable_thinking":true})");
  const Telling unsaid{core::ThinkingSwitch::kTemplate, Thinking::kOn};
  EXPECT_FALSE(Parsed(ServingBody(ChatRequest(), "m", unsaid))
                   .contains("chat_template_kwargs"))
      << "it does so anyway";
}

TEST(ServingBodyTest, TellsByTheLastWordOfTheUsersLastMessage) {
  const auto last = [](const std::string& content) {
    core::Request request;
    request.raw_json = R"({"messages":[{"role":"user","content":"first"},)"
                       R"({"role":"user","content":)" +
                       content + R"(},{"role":"assistant","content":"So"}]})";
    const json::object body = Parsed(ServingBody(
        request, "m", {core::ThinkingSwitch::kWord, core::Thinking::kOff}));
    const json::array& messages = body.at("messages").as_array();
    EXPECT_EQ(messages.at(0).at("content"), "first");
    EXPECT_EQ(messages.at(2).at("content"), "So");
    return json::serialize(messages.at(1).at("content"));
  };
  EXPECT_EQ(last(R"("hi")"), R"("hi /no_think")");
  EXPECT_EQ(last(R"("hi /no_think")"), R"("hi /no_think")");
  EXPECT_EQ(last(R"([{"type":"text","text":"hi"}])"),
            R"([{"type":"text","text":"hi /no_think"}])");
  EXPECT_EQ(last("[]"), "[]");
  EXPECT_EQ(last("7"), "7");
}

TEST(ServingBodyTest, LeavesEveryByteThatIsNotOurs) {
  core::Request request;
  request.streamed = false;
  request.raw_json =
      R"({ "temperature":1.0e0, "model":"auto","seed":18446744073709551615,)"
      R"("x":[1, 2],"messages":[{"role":"user","content":"\u00e9"}]})";
  EXPECT_EQ(ServingBody(request, "m"),
            R"({"temperature":1.0e0,"model":"m","seed":18446744073709551615,)"
            R"("x":[1, 2],"messages":[{"role":"user","content":"\u00e9"}]})");
}

TEST(ServingBodyTest, SendsNoSeedThatTheClientDidNot) {
  core::Request request = ChatRequest();
  EXPECT_FALSE(Parsed(ServingBody(request, "m")).contains("seed"));
  request.sampling.seed = 7;
  EXPECT_EQ(Parsed(ServingBody(request, "m")).at("seed"), 7);
}

TEST(ServingBodyTest, AsksForAStreamOnlyWhereTheClientDoes) {
  core::Request request = ChatRequest();
  EXPECT_EQ(Parsed(ServingBody(request, "m")).at("stream"), true);
  request.streamed = false;
  const json::object body = Parsed(ServingBody(request, "m"));
  EXPECT_FALSE(body.contains("stream"));
  EXPECT_FALSE(body.contains("stream_options"));
}

TEST(ServingBodyTest, IsWrittenFromFieldsWhereThereIsNoJson) {
  core::Request request = ChatRequest();
  request.max_tokens = 5;
  request.choices = 2;
  request.stop = {"END"};
  request.sampling.temperature = 0.5;
  request.sampling.min_p = 0.25;
  request.sampling.logprobs = true;
  request.sampling.top_logprobs = 3;
  const json::object body = Parsed(ServingBody(request, "m"));
  EXPECT_EQ(body.at("messages"),
            json::parse(R"([{"role":"system","content":"Be brief."},)"
                        R"({"role":"user","content":"Hello"}])"));
  EXPECT_EQ(body.at("max_tokens"), 5);
  EXPECT_EQ(body.at("n"), 2);
  EXPECT_EQ(body.at("stop"), json::parse(R"(["END"])"));
  EXPECT_EQ(body.at("temperature"), 0.5);
  EXPECT_EQ(body.at("min_p"), 0.25);
  EXPECT_EQ(body.if_contains("top_k"), nullptr);
  EXPECT_EQ(body.at("logprobs"), true);
  EXPECT_EQ(body.at("top_logprobs"), 3);
}

TEST(ServingBodyTest, SendsPromptTokensOfACompletion) {
  core::Request request;
  request.chat = false;
  request.prompt_tokens = {1, 2, 3};
  EXPECT_EQ(Parsed(ServingBody(request, "m")).at("prompt"),
            json::parse("[1,2,3]"));
}

TEST(ScoringBodyTest, ContinuesTheAssistantsMessage) {
  const json::object body = Parsed(ScoringBody(
      ChatRequest(), "m", "Category:", SuffixForm::kContinued, 1000));
  const json::array& messages = body.at("messages").as_array();
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(messages[2],
            json::parse(R"({"role":"assistant","content":"Category:"})"));
  EXPECT_EQ(body.at("continue_final_message"), true);
  EXPECT_EQ(body.at("add_generation_prompt"), false);
  EXPECT_EQ(body.at("max_tokens"), 1);
  EXPECT_EQ(body.at("top_logprobs"), 20);
}

TEST(ScoringBodyTest, PutsThePlainFormIntoTheUsersTurn) {
  const json::object body = Parsed(ScoringBody(
      ChatRequest(), "m", "Category:", SuffixForm::kInUserTurn, 1000));
  const json::array& messages = body.at("messages").as_array();
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[1].at("content"), "Hello\nCategory:");
  EXPECT_EQ(body.if_contains("continue_final_message"), nullptr);
}

TEST(ScoringBodyTest, SendsHeadAndTailOfALongPromptInWholeCharacters) {
  core::Request request = ChatRequest();
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "日";
  request.messages[1].content = "a" + text + "b";
  for (size_t bytes_max = 0; bytes_max < 20; ++bytes_max) {
    const json::object body = Parsed(
        ScoringBody(request, "m", "?", SuffixForm::kContinued, bytes_max));
    const json::array& messages = body.at("messages").as_array();
    ASSERT_EQ(messages.size(), 2u);  // the last message and the suffix
    const std::string_view sent = messages[0].at("content").as_string();
    EXPECT_TRUE(IsValidUtf8(sent));
    EXPECT_LE(sent.size(), bytes_max + 5);  // and the mark of the gap
    if (bytes_max >= 2) {
      EXPECT_TRUE(sent.starts_with('a') && sent.ends_with('b')) << sent;
    }
  }
}

TEST(ScoringBodyTest, AppendsToTheTextOfACompletion) {
  core::Request request;
  request.chat = false;
  request.prompt = "2+2=";
  const json::object body =
      Parsed(ScoringBody(request, "m", " ", SuffixForm::kInUserTurn, 1000));
  EXPECT_EQ(body.at("prompt"), "2+2= ");
  EXPECT_EQ(body.at("logprobs"), 20);
}

TEST(ScoringBodyTest, CannotAppendTextToTokens) {
  core::Request request;
  request.chat = false;
  request.prompt_tokens = {1};
  const auto body =
      ScoringBody(request, "m", "?", SuffixForm::kInUserTurn, 1000);
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace aio::upstream
