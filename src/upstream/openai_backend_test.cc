// SPDX-License-Identifier: Apache-2.0
#include "upstream/openai_backend.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "upstream/backend_fixture.h"

namespace aio::upstream {
namespace {

using std::chrono_literals::operator""s;
using core::FinishReason;
using Then = ScriptedUpstream::Then;
namespace http = boost::beast::http;

TEST_F(OpenAiBackendTest, StreamsAnAnswer) {
  upstream_.AddStream(WholeStream());
  const auto sink = Start();
  EXPECT_EQ(backend().View("npu-7b").running, 1);
  RunToEnd(*sink);
  ASSERT_TRUE(*sink->done) << sink->message();
  EXPECT_EQ(sink->text, "Hello");
  EXPECT_EQ(sink->served->variant, "npu-7b");
  EXPECT_EQ(sink->served->fingerprint, "fp");
  EXPECT_FALSE(sink->served->seed) << "the client has sent none";
  EXPECT_EQ(sink->served->strategy, core::Strategy::kPlain);
  const core::Done& done = **sink->done;
  EXPECT_EQ(done.finish, std::vector{FinishReason::kStop});
  EXPECT_EQ(done.usage.prompt_tokens, 50);
  EXPECT_EQ(done.usage.completion_tokens, 2);
  EXPECT_EQ(backend().View("npu-7b").running, 0);
  EXPECT_EQ(backend().View("npu-7b").admissions, 1u);
  EXPECT_TRUE(Healthy());
}

TEST_F(OpenAiBackendTest, SendsTheClientsRequestUnderTheUpstreamsModelName) {
  upstream_.AddStream(WholeStream());
  RunToEnd(*Start());
  ASSERT_EQ(upstream_.requests().size(), 1u);
  const auto& request = upstream_.requests()[0];
  EXPECT_EQ(request.target(), "/v1/chat/completions");
  EXPECT_EQ(request[http::field::authorization], "Bearer s3cret");
  EXPECT_EQ(request[http::field::content_type], "application/json");
  EXPECT_EQ(request["X-Request-Id"], "r1");
  const auto body = boost::json::parse(request.body()).as_object();
  EXPECT_EQ(body.at("model"), "openPangu-7B");
  EXPECT_EQ(body.at("unheard_of"), 1);
  EXPECT_EQ(body.at("stream"), true);
  EXPECT_EQ(body.if_contains("aio"), nullptr);
}

TEST_F(OpenAiBackendTest, RefusesDraftsThatItCannotAskFor) {
  for (const auto strategy :
       {core::Strategy::kLookup, core::Strategy::kDraft}) {
    const auto sink = Start(nullptr, strategy);
    RunToEnd(*sink);
    ASSERT_FALSE(*sink->done);
    EXPECT_EQ(sink->done->error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(sink->done->error().param, "aio.speculation");
  }
  EXPECT_TRUE(upstream_.requests().empty());
  EXPECT_TRUE(Healthy());
}

TEST_F(OpenAiBackendTest, KeepsUnknownFieldsOfTheAnswer) {
  const std::string chunk =
      R"({"choices":[{"index":0,"delta":{"content":"a"},"odd":[1]}],"x":"y"})";
  upstream_.AddStream("data: " + chunk + "\n\n" + kStop + kEnd);
  const auto sink = Start();
  RunToEnd(*sink);
  ASSERT_FALSE(sink->deltas.empty());
  EXPECT_EQ(sink->deltas[0].raw_json, chunk);
}

TEST_F(OpenAiBackendTest, ReadsAStreamCutAtEveryByte) {
  ScriptedUpstream::Script script;
  for (const char c : ScriptedUpstream::StreamHead() + WholeStream()) {
    script.pieces.emplace_back(1, c);
  }
  upstream_.Add(script);
  const auto sink = Start();
  RunToEnd(*sink);
  ASSERT_TRUE(*sink->done) << sink->message();
  EXPECT_EQ(sink->text, "Hello");
}

TEST_F(OpenAiBackendTest, ReadsAChunkedStream) {
  const std::string stream = WholeStream();
  const auto chunked = [](const std::string& part) {
    char size[20];
    std::snprintf(size, sizeof(size), "%zx\r\n", part.size());
    return size + part + "\r\n";
  };
  upstream_.Add({{"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n",
                  chunked(stream.substr(0, 33)), chunked(stream.substr(33))},
                 Then::kStall});
  const auto sink = Start();
  RunToEnd(*sink);  // [DONE] ends it; nobody waits for the connection to
  ASSERT_TRUE(*sink->done) << sink->message();
  EXPECT_EQ(sink->text, "Hello");
}

TEST_F(OpenAiBackendTest, TakesAPlainAnswerFromAServerThatCannotStream) {
  upstream_.AddAnswer("200 OK", "application/json",
                      R"({"choices":[{"index":0,"message":{"role":"assistant",)"
                      R"("content":"Hello"},"finish_reason":"length"}],)"
                      R"("usage":{"prompt_tokens":3,"completion_tokens":1}})");
  const auto sink = Start();
  RunToEnd(*sink);
  ASSERT_TRUE(*sink->done) << sink->message();
  EXPECT_EQ(sink->text, "Hello");
  EXPECT_EQ((*sink->done)->finish, std::vector{FinishReason::kLength});
}

TEST_F(OpenAiBackendTest, TakesAStreamWithoutItsEndMarkOnceAllIsSaid) {
  upstream_.AddStream(Chunk("Hi") + kStop);
  const auto sink = Start();
  RunToEnd(*sink);
  ASSERT_TRUE(*sink->done) << sink->message();
  EXPECT_EQ((*sink->done)->usage.completion_tokens, 1);  // counted by us
  EXPECT_GT((*sink->done)->usage.prompt_tokens, 0);
}

TEST_F(OpenAiBackendTest, KeepsChoicesApart) {
  upstream_.AddStream(
      "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"},"
      "\"finish_reason\":\"length\"},{\"index\":0,\"delta\":{\"content\":"
      "\"a\"},\"finish_reason\":\"stop\"}]}\n\n" +
      std::string(kEnd));
  auto request = NewRequest();
  request->choices = 2;
  const auto sink = Start(request);
  RunToEnd(*sink);
  ASSERT_TRUE(*sink->done) << sink->message();
  EXPECT_EQ((*sink->done)->finish,
            (std::vector{FinishReason::kStop, FinishReason::kLength}));
  ASSERT_EQ(sink->deltas.size(), 2u);
  EXPECT_EQ(sink->deltas[0].choice, 1);
}

TEST_F(OpenAiBackendTest, SendsCompletionsToTheirOwnRoute) {
  upstream_.AddStream(
      "data: {\"choices\":[{\"index\":0,\"text\":\"4\","
      "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
  auto request = NewRequest();
  request->chat = false;
  request->raw_json = R"({"model":"auto","prompt":"2+2="})";
  const auto sink = Start(request);
  RunToEnd(*sink);
  EXPECT_EQ(sink->text, "4");
  EXPECT_EQ(upstream_.requests()[0].target(), "/v1/completions");
}

TEST_F(OpenAiBackendTest, IsUnhealthyForAWhileWhereNobodyListens) {
  options_.replica.breaker.failures_max = 2;
  backend();
  upstream_.StopListening();
  Fails(ErrorCode::kUnavailable);
  EXPECT_TRUE(Healthy());
  const auto sink = Fails(ErrorCode::kUnavailable);
  EXPECT_EQ(sink->message().find("127.0.0.1"), std::string::npos)
      << "clients need not know where it is";
  EXPECT_FALSE(sink->served);
  EXPECT_FALSE(Healthy());
  clock_.Advance(1s);
  EXPECT_TRUE(Healthy());
}

TEST_F(OpenAiBackendTest, GivesUpConnectingAfterItsTimeout) {
  // Linux lets backlog + 1 connections wait and ignores whoever comes next.
  using boost::asio::ip::tcp;
  const tcp::endpoint any(boost::asio::ip::make_address("127.0.0.1"), 0);
  tcp::acceptor deaf(io_, any.protocol());
  deaf.bind(any);
  deaf.listen(0);
  tcp::socket waiting(io_);
  waiting.connect(deaf.local_endpoint());
  options_.url =
      "http://127.0.0.1:" + std::to_string(deaf.local_endpoint().port());
  const auto sink = Start();
  io_.poll();
  EXPECT_FALSE(sink->done);
  clock_.Advance(5s);
  RunToEnd(*sink);
  EXPECT_EQ(sink->error(), ErrorCode::kUnavailable);
  EXPECT_NE(sink->message().find("too long"), std::string::npos)
      << sink->message();
}

TEST_F(OpenAiBackendTest, GivesUpOnAServerThatNeverAnswers) {
  upstream_.Add({{}, Then::kStall});
  const auto sink = Start();
  RunUntil([&] { return upstream_.scripts_done() == 1; });
  clock_.Advance(119s);
  io_.poll();
  EXPECT_FALSE(sink->done);
  clock_.Advance(1s);
  RunToEnd(*sink);
  EXPECT_EQ(sink->error(), ErrorCode::kDeadline);
  EXPECT_FALSE(Healthy());
  RunUntil([&] { return upstream_.closed_by_peer() == 1; });
}

TEST_F(OpenAiBackendTest, GivesUpOnAServerThatStopsHalfway) {
  upstream_.AddStream(Chunk("Hel"), Then::kStall);
  const auto sink = Start();
  RunUntil([&] { return sink->text == "Hel"; });
  clock_.Advance(59s);
  io_.poll();
  EXPECT_FALSE(sink->done);
  clock_.Advance(1s);
  RunToEnd(*sink);
  EXPECT_EQ(sink->error(), ErrorCode::kDeadline);
}

TEST_F(OpenAiBackendTest, BoundsTheWholeAnswerHoweverLively) {
  options_.replica.limits.total_timeout = 30s;
  upstream_.AddStream(Chunk("Hel"), Then::kStall);
  const auto sink = Start();
  RunUntil([&] { return sink->text == "Hel"; });
  clock_.Advance(30s);
  RunToEnd(*sink);
  EXPECT_EQ(sink->error(), ErrorCode::kDeadline);
  EXPECT_NE(sink->message().find("longer"), std::string::npos);
}

TEST_F(OpenAiBackendTest, ReportsAStreamThatWasCut) {
  upstream_.AddStream(Chunk("Hel"));
  const auto sink = Fails(ErrorCode::kUnavailable);
  EXPECT_EQ(sink->text, "Hel");
  EXPECT_FALSE(Healthy());
}

TEST_F(OpenAiBackendTest, ReportsAConnectionThatWasReset) {
  options_.replica.breaker.failures_max = 100;
  upstream_.AddStream(Chunk("Hel"), Then::kReset);
  Fails(ErrorCode::kUnavailable);
  upstream_.Add({{}, Then::kReset});
  Fails(ErrorCode::kUnavailable);
  upstream_.Add({{}, Then::kClose});
  Fails(ErrorCode::kUnavailable);
}

TEST_F(OpenAiBackendTest, ReportsABodyShorterThanItsLength) {
  upstream_.Add(
      {{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        "Content-Length: 1000\r\n\r\n{\"choices\":"}});
  Fails(ErrorCode::kUnavailable);
}

TEST_F(OpenAiBackendTest, ReportsRubbish) {
  options_.replica.breaker.failures_max = 100;
  upstream_.Add({{"SSH-2.0-OpenSSH_9.2\r\n\r\n"}});
  Fails(ErrorCode::kCorrupt);
  upstream_.AddAnswer("200 OK", "text/html", "<html>Welcome</html>");
  EXPECT_NE(Fails(ErrorCode::kCorrupt)->message().find("text/html"),
            std::string::npos);
  for (const char* event :
       {"data: <html>\n\n", "data: []\n\n", "data: {\"choices\":7}\n\n",
        "data: {\"choices\":[{\"index\":9,\"text\":\"\"}]}\n\n",
        "data: {\"choices\":[{\"text\":\"\xFF\"}]}\n\n"}) {
    upstream_.AddStream(event);
    Fails(ErrorCode::kCorrupt);
  }
  upstream_.AddAnswer("200 OK", "application/json", "{}");
  Fails(ErrorCode::kCorrupt);
}

TEST_F(OpenAiBackendTest, ReportsAnEndWithoutAFinishReason) {
  upstream_.AddStream(Chunk("Hel") + kEnd);
  Fails(ErrorCode::kCorrupt);
}

TEST_F(OpenAiBackendTest, BoundsEverySize) {
  options_.replica.breaker.failures_max = 100;
  options_.replica.limits.event_bytes_max = 1000;
  options_.replica.limits.answer_bytes_max = 5000;
  options_.replica.limits.body_bytes_max = 1000;
  options_.replica.limits.header_bytes_max = 2000;
  upstream_.AddStream("data: " + std::string(2000, 'x'), Then::kStall);
  EXPECT_NE(Fails(ErrorCode::kCorrupt)->message().find("1000"),
            std::string::npos);
  std::string endless;
  while (endless.size() < 6000) endless += Chunk("x");
  upstream_.AddStream(endless, Then::kStall);
  EXPECT_NE(Fails(ErrorCode::kCorrupt)->message().find("5000"),
            std::string::npos);
  upstream_.AddAnswer("200 OK", "application/json", std::string(1001, ' '));
  EXPECT_NE(Fails(ErrorCode::kCorrupt)->message().find("1000"),
            std::string::npos);
  upstream_.Add(
      {{"HTTP/1.1 200 OK\r\nX: " + std::string(3000, 'x')}, Then::kStall});
  Fails(ErrorCode::kCorrupt);
}

TEST_F(OpenAiBackendTest, BlamesTheRequestForARefusalAndStaysHealthy) {
  upstream_.AddAnswer("400 Bad Request", "application/json",
                      R"({"error":{"message":"top_p must be at most 1",)"
                      R"("type":"invalid_request_error","param":"top_p"}})");
  const auto sink = Fails(ErrorCode::kInvalidArgument);
  EXPECT_EQ(sink->message(), "top_p must be at most 1");
  EXPECT_EQ(sink->done->error().param, "top_p");
  EXPECT_TRUE(Healthy());
}

TEST_F(OpenAiBackendTest, SaysThatABusyUpstreamIsOverloaded) {
  upstream_.AddAnswer("429 Too Many Requests", "application/json",
                      R"({"error":{"message":"slow down"}})");
  EXPECT_EQ(Fails(ErrorCode::kOverloaded)->message(), "slow down");
  EXPECT_TRUE(Healthy());
}

TEST_F(OpenAiBackendTest, DoesNotBlameTheClientForOurKeyOrModelName) {
  for (const char* status :
       {"401 Unauthorized", "403 Forbidden", "404 Not Found"}) {
    upstream_.AddAnswer(status, "application/json",
                        R"({"error":{"message":"no such thing"}})");
    const auto sink = Fails(ErrorCode::kUnavailable);
    EXPECT_NE(sink->message().find("no such thing"), std::string::npos);
    EXPECT_TRUE(Healthy()) << "it answers";
  }
}

TEST_F(OpenAiBackendTest, IsUnavailableWhereTheUpstreamBreaks) {
  upstream_.AddAnswer("500 Internal Server Error", "text/html",
                      std::string(1 << 20, 'x'));
  const auto sink = Fails(ErrorCode::kUnavailable);
  EXPECT_LT(sink->message().size(), 500u);
  EXPECT_FALSE(Healthy());
  clock_.Advance(1s);
  upstream_.AddAnswer("503 Service Unavailable", "text/plain", "");
  Fails(ErrorCode::kUnavailable);
  clock_.Advance(2s);
  upstream_.AddAnswer("302 Found", "text/plain", "");
  Fails(ErrorCode::kUnavailable);
}

TEST_F(OpenAiBackendTest, IsHealthyAgainAfterAnAnswer) {
  upstream_.AddAnswer("500 Internal Server Error", "text/plain", "");
  Fails(ErrorCode::kUnavailable);
  EXPECT_FALSE(Healthy());
  clock_.Advance(1s);
  upstream_.AddStream(WholeStream());
  RunToEnd(*Start());
  EXPECT_TRUE(Healthy());
}

TEST_F(OpenAiBackendTest, PassesOnAnErrorInsideTheStream) {
  upstream_.AddStream(
      Chunk("Hel") + "data: {\"error\":{\"message\":\"CUDA broke\"}}\n\n",
      Then::kStall);
  EXPECT_NE(Fails(ErrorCode::kUnavailable)->message().find("CUDA broke"),
            std::string::npos);
}

TEST_F(OpenAiBackendTest, CancelEndsTheAnswerAndClosesTheConnection) {
  upstream_.AddStream(Chunk("Hel"), Then::kStall);
  const auto sink = Start();
  RunUntil([&] { return sink->text == "Hel"; });
  backend().Cancel("somebody else");
  backend().Cancel("r1");
  backend().Cancel("r1");
  RunToEnd(*sink);
  EXPECT_EQ(sink->error(), ErrorCode::kCancelled);
  RunUntil([&] { return upstream_.closed_by_peer() == 1; });
  EXPECT_EQ(backend().View("npu-7b").running, 0);
  EXPECT_TRUE(Healthy());
  backend().Cancel("r1");
}

TEST_F(OpenAiBackendTest, CancelBeforeAnythingHappenedWorks) {
  const auto sink = Start();
  backend().Cancel("r1");
  RunToEnd(*sink);
  EXPECT_EQ(sink->error(), ErrorCode::kCancelled);
}

TEST_F(OpenAiBackendTest, BoundsTheRequestsInFlight) {
  options_.replica.requests_max = 1;
  upstream_.AddStream(Chunk("Hel"), Then::kStall);
  const auto first = Start();
  const auto second = Start(NewRequest("r2"));
  EXPECT_FALSE(second->done) << "answered inside Start";
  RunToEnd(*second);
  EXPECT_EQ(second->error(), ErrorCode::kOverloaded);
  RunUntil([&] { return first->text == "Hel"; });
  backend().Cancel("r1");
  RunToEnd(*first);
  upstream_.AddStream(WholeStream());
  const auto third = Start(NewRequest("r3"));
  RunToEnd(*third);
  EXPECT_TRUE(*third->done);
}

TEST_F(OpenAiBackendTest, DestroyingItEndsWhatRuns) {
  upstream_.AddStream(Chunk("Hel"), Then::kStall);
  const auto sink = Start();
  RunUntil([&] { return sink->text == "Hel"; });
  backend_.reset();
  RunToEnd(*sink);
  EXPECT_EQ(sink->error(), ErrorCode::kCancelled);
}

TEST_F(OpenAiBackendTest, KnowsOnlyItsOwnVariants) {
  auto sink = std::make_shared<RecordingSink>();
  core::Plan plan;
  plan.variant = "small";
  backend().Start(NewRequest(), plan, sink);
  RunToEnd(*sink);
  EXPECT_EQ(sink->error(), ErrorCode::kNotFound);
  bool asked = false;
  backend().Peek(NewRequest(), "small", {}, [&](Result<core::PromptSize> size) {
    asked = true;
    EXPECT_EQ(size.error().code, ErrorCode::kNotFound);
  });
  EXPECT_TRUE(asked);
}

TEST_F(OpenAiBackendTest, LearnsHowManyBytesATokenHas) {
  // 200 bytes with the message's own; 4 a token at first, 4 as counted.
  const auto peek = [&] {
    int tokens = 0;
    backend().Peek(NewRequest(), "npu-7b", {},
                   [&](Result<core::PromptSize> size) {
                     ASSERT_TRUE(size);
                     EXPECT_FALSE(size->exact);
                     tokens = size->tokens;
                   });
    return tokens;
  };
  EXPECT_EQ(peek(), 50);
  std::string usage = kUsage;
  usage.replace(usage.find(":50,"), 4, ":100,");
  for (int i = 0; i < 60; ++i) {
    upstream_.AddStream(Chunk("x") + kStop + usage + kEnd);
    RunToEnd(*Start());
  }
  EXPECT_NEAR(peek(), 100, 1);
}

TEST_F(OpenAiBackendTest, RefusesAKeyThatWouldBreakAHeader) {
  options_.api_key = "a\r\nX: y";
  const auto made = OpenAiBackend::Make(options_, io_.get_executor(), &clock_);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace aio::upstream
