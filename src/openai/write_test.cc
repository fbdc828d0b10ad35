// SPDX-License-Identifier: Apache-2.0
#include "openai/write.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <limits>
#include <string>
#include <vector>

#include "openai/answer.h"
#include "openai/json.h"
#include "openai/logprobs.h"
#include "openai/sse.h"

namespace aio::openai {
namespace {

namespace json = boost::json;

Head ChatHead() { return {"1", true, 7, "small", "fp"}; }
Head CompletionHead() { return {"1", false, 7, "small", ""}; }

core::Delta Text(int choice, std::string text) {
  core::Delta delta;
  delta.choice = choice;
  delta.text = std::move(text);
  return delta;
}
core::Done Finished(std::vector<core::FinishReason> finish) {
  core::Done done;
  done.finish = std::move(finish);
  done.usage.prompt_tokens = 3;
  done.usage.completion_tokens = 2;
  return done;
}
std::vector<std::string> Events(const std::string& stream) {
  SseDecoder decoder;
  std::vector<SseEvent> events;
  EXPECT_TRUE(decoder.Feed(stream, &events));
  std::vector<std::string> data;
  for (const SseEvent& event : events) data.push_back(event.data);
  return data;
}
json::value Parse(const std::string& text) {
  auto value = ParseJson(text);
  EXPECT_TRUE(value) << text;
  return value ? *std::move(value) : json::value();
}

TEST(WriteTest, StreamsChatAsOpenAiDoes) {
  StreamWriter writer(ChatHead(), 1, false);
  std::string out;
  writer.Delta(Text(0, "a\"b"), &out);
  writer.Delta(Text(0, "c"), &out);
  writer.Done(Finished({core::FinishReason::kStop}), &out);
  const std::string head =
      R"({"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,)"
      R"("model":"small","system_fingerprint":"fp","choices":[{"index":0,)";
  const auto events = Events(out);
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(events[0],
            head + R"("delta":{"role":"assistant","content":"","refusal":null})"
                   R"(,"logprobs":null,"finish_reason":null}]})");
  EXPECT_EQ(events[1], head + R"("delta":{"content":"a\"b"},"logprobs":null,)"
                              R"("finish_reason":null}]})");
  EXPECT_EQ(events[3],
            head + R"("delta":{},"logprobs":null,"finish_reason":"stop"}]})");
  EXPECT_EQ(events[4], "[DONE]");
}

TEST(WriteTest, EndsEveryChoiceEvenOneWithoutText) {
  StreamWriter writer(ChatHead(), 2, false);
  std::string out;
  writer.Delta(Text(1, "x"), &out);
  writer.Done(
      Finished({core::FinishReason::kLength, core::FinishReason::kStop}), &out);
  std::vector<std::string> finish(2);
  std::vector<int> roles(2);
  for (const std::string& event : Events(out)) {
    if (event == "[DONE]") continue;
    const auto answer = ParseAnswer(event, 2);
    ASSERT_TRUE(answer);
    const int choice = answer->deltas[0].choice;
    roles[choice] += event.find("\"role\"") != std::string::npos;
    for (const auto& end : answer->finished) {
      finish[end.choice] =
          end.reason == core::FinishReason::kLength ? "length" : "stop";
    }
  }
  EXPECT_EQ(finish, (std::vector<std::string>{"length", "stop"}));
  EXPECT_EQ(roles, (std::vector<int>{1, 1}));
}

TEST(WriteTest, SendsUsageOnceAtTheEndAndNullBefore) {
  StreamWriter writer(ChatHead(), 1, true);
  std::string out;
  writer.Delta(Text(0, "a"), &out);
  writer.Done(Finished({core::FinishReason::kStop}), &out);
  const auto events = Events(out);
  ASSERT_EQ(events.size(), 5u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(Parse(events[i]).at("usage").is_null());
  }
  const json::value last = Parse(events[3]);
  EXPECT_TRUE(last.at("choices").as_array().empty());
  EXPECT_EQ(last.at("usage").at("total_tokens").as_int64(), 5);
}

TEST(WriteTest, StreamsCompletionsWithRunningTextOffsets) {
  StreamWriter writer(CompletionHead(), 1, false);
  std::string out;
  core::Delta first = Text(0, "a\xE2\x82\xAC");
  first.logprobs = {
      {1, "a", -1, {}}, {2, "\xE2\x82", -2, {}}, {3, "\xAC", -3, {}}};
  writer.Delta(first, &out);
  core::Delta second = Text(0, "b");
  second.logprobs = {{4, "b", -4, {{4, "b", -4}, {5, "\xFF", -5}}}};
  writer.Delta(second, &out);
  const auto events = Events(out);
  ASSERT_EQ(events.size(), 2u);
  const json::value logprobs =
      Parse(events[0]).at("choices").at(0).at("logprobs");
  EXPECT_EQ(json::serialize(logprobs.at("text_offset")), "[0,1,2]");
  EXPECT_EQ(json::serialize(logprobs.at("tokens")),
            R"(["a","bytes:\\xe2\\x82","bytes:\\xac"])");
  const json::value next = Parse(events[1]).at("choices").at(0).at("logprobs");
  EXPECT_EQ(json::serialize(next.at("text_offset")), "[2]");
  EXPECT_TRUE(
      next.at("top_logprobs").at(0).as_object().contains("bytes:\\xff"));
}

TEST(WriteTest, ReadsBackTheLogprobsItWrites) {
  core::TokenLogprob token;
  token.bytes = " \xF0\x9F";
  token.logprob = -std::numeric_limits<float>::infinity();
  token.top = {{1, "x", -0.25f}};
  for (const bool chat : {true, false}) {
    PlainWriter writer(1);
    core::Delta delta = Text(0, "x");
    delta.logprobs = {token};
    writer.Delta(delta);
    const std::string body =
        writer.Write(chat ? ChatHead() : CompletionHead(),
                     Finished({core::FinishReason::kStop}));
    const auto answer = ParseAnswer(body, 1);
    ASSERT_TRUE(answer) << body;
    ASSERT_EQ(answer->deltas[0].logprobs.size(), 1u);
    EXPECT_EQ(answer->deltas[0].logprobs[0].bytes, token.bytes);
    EXPECT_EQ(answer->deltas[0].logprobs[0].logprob, -9999);
    ASSERT_EQ(answer->deltas[0].logprobs[0].top.size(), 1u);
    EXPECT_EQ(answer->deltas[0].logprobs[0].top[0].logprob, -0.25f);
  }
}

TEST(WriteTest, WritesAPlainChatAnswer) {
  PlainWriter writer(1);
  writer.Delta(Text(0, "a"));
  writer.Delta(Text(0, "b"));
  EXPECT_EQ(
      writer.Write(ChatHead(), Finished({core::FinishReason::kLength})),
      R"({"id":"chatcmpl-1","object":"chat.completion","created":7,)"
      R"("model":"small","system_fingerprint":"fp","choices":[{"index":0,)"
      R"("message":{"role":"assistant","content":"ab","refusal":null},)"
      R"("logprobs":null,"finish_reason":"length"}],"usage":)"
      R"({"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,)"
      R"("prompt_tokens_details":{"cached_tokens":0},)"
      R"("completion_tokens_details":{"accepted_prediction_tokens":0,)"
      R"("rejected_prediction_tokens":0}}})");
}

TEST(WriteTest, WritesAPlainCompletion) {
  PlainWriter writer(1);
  writer.Delta(Text(0, "a"));
  const std::string body =
      writer.Write(CompletionHead(), Finished({core::FinishReason::kStop}));
  EXPECT_TRUE(body.starts_with(
      R"({"id":"cmpl-1","object":"text_completion","created":7,)"
      R"("model":"small","system_fingerprint":null,"choices":[{"index":0,)"
      R"("text":"a","logprobs":null,"finish_reason":"stop"}])"))
      << body;
}

// A chunk as a remote server would send it.
constexpr char kRaw[] =
    R"({"id":"theirs","object":"chat.completion.chunk","created":1,)"
    R"("model":"theirs","choices":[{"index":0,"delta":{"content":"hi",)"
    R"("mood":"good"},"logprobs":null,"finish_reason":"content_filter",)"
    R"("stop_reason":5}],"usage":{"prompt_tokens":9},"extra":{"a":1}})";

TEST(WriteTest, PassesAnUpstreamsUnknownFieldsThroughAStream) {
  const auto answer = ParseAnswer(kRaw, 1);
  ASSERT_TRUE(answer);
  StreamWriter writer(ChatHead(), 1, true);
  std::string out;
  writer.Delta(answer->deltas[0], &out);
  writer.Done(Finished({core::FinishReason::kStop}), &out);
  const auto events = Events(out);
  ASSERT_EQ(events.size(), 3u);  // its own finish reason, usage, [DONE]
  const json::value chunk = Parse(events[0]);
  EXPECT_EQ(chunk.at("id").as_string(), "chatcmpl-1");
  EXPECT_EQ(chunk.at("model").as_string(), "small");
  EXPECT_EQ(chunk.at("extra").at("a").as_int64(), 1);
  EXPECT_TRUE(chunk.at("usage").is_object()) << "as it was sent";
  const json::value& choice = chunk.at("choices").at(0);
  EXPECT_EQ(choice.at("delta").at("mood").as_string(), "good");
  EXPECT_EQ(choice.at("finish_reason").as_string(), "content_filter");
  EXPECT_EQ(choice.at("stop_reason").as_int64(), 5);
}

// Digits, order, nulls and what has no choices: all but whose answer it is.
TEST(WriteTest, ChangesNothingElseInAnUpstreamsChunk) {
  const std::string_view raw =
      R"({"id":"x","object":"chat.completion.chunk","created":5,"model":"m",)"
      R"("choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":)"
      R"({"arguments":"{\"a\":1.50}"}}]},"logprobs":{"content":[{"logprob":)"
      R"(-1.0e-05}]},"finish_reason":null}],"z":[1e2,null],"usage":null})";
  const auto answer = ParseAnswer(raw, 1);
  ASSERT_TRUE(answer);
  StreamWriter writer(ChatHead(), 1, true);
  std::string out;
  writer.Delta(answer->deltas[0], &out);
  std::string expected = "data: " + std::string(raw) + "\n\n";
  const auto replace = [&](const std::string& from, const std::string& to) {
    expected.replace(expected.find(from), from.size(), to);
  };
  replace(R"("id":"x")", R"("id":"chatcmpl-1")");
  replace(R"("created":5)",
          "\"created\":" + std::to_string(ChatHead().created));
  replace(R"("model":"m")", R"("model":"small")");
  EXPECT_EQ(out, expected);
}

TEST(WriteTest, PassesOnAChunkWithoutChoicesAndTheUsageAsItWasSent) {
  const auto answer = ParseAnswer(R"({"choices":[],"filter":{"a":1}})", 1);
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->deltas.size(), 1u);
  StreamWriter writer(ChatHead(), 1, true);
  std::string out;
  writer.Delta(answer->deltas[0], &out);
  core::Done done = Finished({core::FinishReason::kStop});
  done.raw_usage = R"({"prompt_tokens":1,"own":{"b":2}})";
  writer.Done(done, &out);
  const auto events = Events(out);
  ASSERT_GE(events.size(), 3u);
  EXPECT_EQ(Parse(events[0]).at("filter").at("a").as_int64(), 1);
  const json::value last = Parse(events[events.size() - 2]);
  EXPECT_EQ(last.at("usage").at("own").at("b").as_int64(), 2);
}

TEST(WriteTest, WritesAWholeAnswerAsTheUpstreamDid) {
  core::Done done = Finished({core::FinishReason::kStop});
  done.raw_json =
      R"({"id":"x","choices":[{"index":0,"message":{"content":null,)"
      R"("tool_calls":[{"id":"c"}]},"finish_reason":"tool_calls"}],)"
      R"("model":"m","usage":{"prompt_tokens":3},"p":0.10})";
  std::string expected = done.raw_json;
  expected.replace(expected.find("\"x\""), 3, "\"chatcmpl-1\"");
  expected.replace(expected.find("\"m\""), 3, "\"small\"");
  EXPECT_EQ(PlainWriter(1).Write(ChatHead(), done), expected);
}

TEST(WriteTest, PassesAnUpstreamsUnknownFieldsThroughAPlainAnswer) {
  const auto answer = ParseAnswer(kRaw, 1);
  ASSERT_TRUE(answer);
  PlainWriter writer(1);
  writer.Delta(answer->deltas[0]);
  writer.Delta(answer->deltas[0]);
  const json::value body =
      Parse(writer.Write(ChatHead(), Finished({core::FinishReason::kStop})));
  EXPECT_EQ(body.at("extra").at("a").as_int64(), 1);
  EXPECT_EQ(body.at("model").as_string(), "small");
  const json::value& choice = body.at("choices").at(0);
  EXPECT_EQ(choice.at("message").at("content").as_string(), "hihi");
  EXPECT_EQ(choice.at("message").at("mood").as_string(), "goodgood");
  EXPECT_EQ(choice.at("finish_reason").as_string(), "content_filter");
}

TEST(WriteTest, StreamsTheWholeAnswerOfAnUpstreamThatDoesNot) {
  const auto answer =
      ParseAnswer(R"({"choices":[{"index":0,"message":{"content":"hi"},)"
                  R"("finish_reason":"stop"}]})",
                  1);
  ASSERT_TRUE(answer);
  StreamWriter writer(ChatHead(), 1, false);
  std::string out;
  writer.Delta(answer->deltas[0], &out);
  writer.Done(Finished({core::FinishReason::kStop}), &out);
  const auto events = Events(out);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(Parse(events[0])
                .at("choices")
                .at(0)
                .at("delta")
                .at("content")
                .as_string(),
            "hi");
}

TEST(WriteTest, WritesItsOwnChunkWhenTheRawOneIsRubbish) {
  StreamWriter writer(ChatHead(), 1, false);
  core::Delta delta = Text(0, "hi");
  delta.raw_json = "{]";
  std::string out;
  writer.Delta(delta, &out);
  ASSERT_EQ(Events(out).size(), 2u);
}

TEST(WriteTest, ListsModels) {
  EXPECT_EQ(ModelsJson({{"auto", 1}, {"small", 2}}),
            R"({"object":"list","data":[{"id":"auto","object":"model",)"
            R"("created":1,"owned_by":"aio"},{"id":"small","object":"model",)"
            R"("created":2,"owned_by":"aio"}]})");
}

}  // namespace
}  // namespace aio::openai
