// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <gtest/gtest.h>

#include <boost/asio/thread_pool.hpp>
#include <future>
#include <string>

#include "server/server_fixture.h"

namespace aio::server {
namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// ---- Answers ----------------------------------------------------------------

TEST_F(ServerTest, AnswersAChatAndSaysWhoAnsweredAndWhy) {
  Start();
  const Response r = Connect().Ask("POST", "/v1/chat/completions",
                                   ChatBody("one two", R"("seed":7)"));
  EXPECT_EQ(r.status, 200);
  EXPECT_TRUE(Contains(r.body, R"("content":"one two")")) << r.body;
  EXPECT_TRUE(Contains(r.body, R"("model":"echo")"));
  EXPECT_TRUE(Contains(r.body, R"("completion_tokens":2)"));
  EXPECT_EQ(r.fields.at("content-type"), "application/json");
  EXPECT_EQ(r.fields.at("x-aio-variant"), "echo");
  EXPECT_EQ(r.fields.at("x-aio-strategy"), "auto");
  EXPECT_EQ(r.fields.at("x-aio-seed"), "7");
  EXPECT_TRUE(r.fields.contains("x-aio-intent"));
  EXPECT_TRUE(Contains(r.body, "chatcmpl-" + r.fields.at("x-request-id")));
}

TEST_F(ServerTest, SaysWhetherItWasToldToThink) {
  Start();
  const auto ask = [&](const std::string& fields) {
    return Connect()
        .Ask("POST", "/v1/chat/completions", ChatBody("a", fields))
        .fields;
  };
  EXPECT_EQ(ask(R"("enable_thinking":true)").at("x-aio-thinking"), "on");
  EXPECT_EQ(ask(R"("chat_template_kwargs":{"enable_thinking":false})")
                .at("x-aio-thinking"),
            "off");
  EXPECT_FALSE(ask(R"("n":1)").contains("x-aio-thinking"));
}

TEST_F(ServerTest, LetsNoReasonAddAHeader) {
  Start();
  const Response r =
      Connect().Ask("POST", "/v1/chat/completions", ChatBody("a"));
  EXPECT_FALSE(r.fields.contains("set-cookie"));
  EXPECT_TRUE(Contains(r.fields.at("x-aio-reason"), "??set-cookie: evil"));
}

TEST_F(ServerTest, StreamsChunksAndEndsWithDone) {
  Start();
  const Response r = Connect().Ask(
      "POST", "/v1/chat/completions",
      ChatBody("one two",
               R"("stream":true,"stream_options":{"include_usage":true})"));
  EXPECT_EQ(r.status, 200);
  EXPECT_TRUE(r.fields.at("content-type").starts_with("text/event-stream"));
  EXPECT_EQ(r.fields.at("x-aio-variant"), "echo");
  EXPECT_TRUE(Contains(r.body, R"("delta":{"content":"one"})")) << r.body;
  EXPECT_TRUE(Contains(r.body, R"("delta":{"content":" two"})"));
  EXPECT_TRUE(Contains(r.body, R"("total_tokens":4)"));
  EXPECT_TRUE(r.body.ends_with("data: [DONE]\n\n"));
}

TEST_F(ServerTest, CompletesTextPlainAndStreamed) {
  Start();
  Client client = Connect();
  const std::string body = R"({"model":"echo","prompt":"a b","n":2)";
  const Response plain = client.Ask("POST", "/v1/completions", body + "}");
  EXPECT_TRUE(Contains(plain.body, R"("object":"text_completion")"));
  EXPECT_TRUE(Contains(plain.body, R"("index":1,"text":"a b")"));
  const Response stream =
      client.Ask("POST", "/v1/completions", body + R"(,"stream":true})");
  EXPECT_TRUE(Contains(stream.body, R"("index":1,"text":" b")"));
}

TEST_F(ServerTest, WritesAStreamToAnOldClientUntilTheConnectionCloses) {
  Start();
  Client client = Connect();
  const std::string body = ChatBody("one", R"("stream":true)");
  client.Send("POST /v1/chat/completions HTTP/1.0\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  const Response r = client.Read();
  EXPECT_FALSE(r.fields.contains("transfer-encoding"));
  EXPECT_TRUE(r.body.ends_with("data: [DONE]\n\n")) << r.body;
}

TEST_F(ServerTest, ServesManyRequestsOnOneConnectionAlsoSentAhead) {
  Start();
  Client client = Connect();
  std::string burst;
  for (int i = 0; i < 20; ++i) {
    burst += Post("/v1/chat/completions", ChatBody(std::to_string(i) + "th"));
  }
  client.Send(burst);
  for (int i = 0; i < 20; ++i) {
    const std::string text = std::to_string(i) + "th\"";
    EXPECT_TRUE(Contains(client.Read().body, text));
  }
  EXPECT_EQ(client.Ask("GET", "/health").status, 200);
}

TEST_F(ServerTest, KeepsRequestsApartThatArriveDuringAStream) {
  Start();
  Client client = Connect();
  client.Send(Post("/v1/chat/completions",
                   R"({"model":"hold","stream":true,"messages":)"
                   R"([{"role":"user","content":"a"}]})"));
  HoldBackend::Run run = hold_->Next();
  client.Send(Post("/v1/chat/completions", ChatBody("second")));
  run.Say("x");
  run.Finish();
  EXPECT_TRUE(client.Read().body.ends_with("[DONE]\n\n"));
  EXPECT_TRUE(Contains(client.Read().body, "second"));
}

TEST_F(ServerTest, ExplainsARouteWithoutRunningIt) {
  text_probe_ = [](const core::Request&) {
    core::Intent intent;
    intent.probabilities.fill(0);
    intent.probabilities[1] = 1;
    intent.source = core::IntentSource::kText;
    return intent;
  };
  Start();
  const Response r = Connect().Ask(
      "POST", "/v1/route", R"({"messages":[{"role":"user","content":"2+2"}]})");
  EXPECT_EQ(r.status, 200);
  EXPECT_TRUE(Contains(r.body, R"({"intent":{"label":"math")")) << r.body;
  EXPECT_TRUE(Contains(r.body, R"("variant":"echo")"));
  EXPECT_TRUE(Contains(r.body, R"("probe":"text")"));
  EXPECT_TRUE(Contains(r.body, R"({"variant":"hold","why":)"));
  EXPECT_EQ(Connect().Ask("POST", "/v1/route", "{}").status, 400);
}

TEST_F(ServerTest, ListsTheVariantsAndAuto) {
  Start();
  Client client = Connect();
  const Response list = client.Ask("GET", "/v1/models");
  for (const char* name : {"auto", "echo", "hold"}) {
    EXPECT_TRUE(Contains(list.body, "\"id\":\"" + std::string(name) + "\""));
  }
  EXPECT_EQ(client.Ask("GET", "/v1/models/hold").status, 200);
  EXPECT_EQ(client.Ask("GET", "/v1/models/h%6Fld?x=1").status, 200);
  const Response missing = client.Ask("GET", "/v1/models/hol");
  EXPECT_EQ(missing.status, 404);
  EXPECT_TRUE(Contains(missing.body, "did you mean 'hold'?"));
}

TEST_F(ServerTest, SaysWhetherItIsReadyAndExportsMetrics) {
  parts_.ready = [] { return false; };
  Start();
  Client client = Connect();
  EXPECT_EQ(client.Ask("GET", "/health").status, 200);
  EXPECT_EQ(client.Ask("GET", "/ready").status, 503);
  const Response metrics = client.Ask("GET", "/metrics");
  EXPECT_TRUE(metrics.fields.at("content-type").starts_with("text/plain"));
  EXPECT_TRUE(Contains(metrics.body,
                       "aio_http_requests_total{route=\"/ready\",status=\"5xx\""
                       "} 1"))
      << metrics.body;
}

TEST_F(ServerTest, AnswersHeadWithoutABody) {
  Start();
  Client client = Connect();
  const Response head = client.Ask("HEAD", "/health");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.fields.at("content-length"), "15");
  EXPECT_EQ(client.Ask("GET", "/health").body.size(), 15u);
}

TEST_F(ServerTest, ParsesLargeBodiesOnTheWorkersIfThereAreAny) {
  boost::asio::thread_pool workers(1);
  parts_.workers = workers.get_executor();
  Start();
  const std::string word(1 << 20, 'w');
  const Response r =
      Connect().Ask("POST", "/v1/chat/completions", ChatBody(word));
  EXPECT_EQ(r.status, 200);
  EXPECT_TRUE(Contains(r.body, word));
  EXPECT_EQ(Connect()
                .Ask("POST", "/v1/chat/completions",
                     ChatBody(word, R"("temperature":9)"))
                .status,
            400);
  Stop();
}

// ---- Errors of the client ---------------------------------------------------

TEST_F(ServerTest, NamesTheParameterAtFault) {
  Start();
  Client client = Connect();
  const Response r = client.Ask("POST", "/v1/chat/completions",
                                ChatBody("a", R"("temperature":9)"));
  EXPECT_EQ(r.status, 400);
  EXPECT_TRUE(Contains(r.body, R"("param":"temperature")")) << r.body;
  EXPECT_TRUE(Contains(r.body, R"("type":"invalid_request_error")"));
  EXPECT_TRUE(r.fields.contains("x-request-id"));
  EXPECT_EQ(client.Ask("POST", "/v1/chat/completions", "{").status, 400);
  EXPECT_EQ(client.Ask("POST", "/v1/chat/completions").status, 400);
  EXPECT_EQ(client.Ask("POST", "/v1/chat/completions", "\"\xFF\"").status, 400);
  EXPECT_EQ(client
                .Ask("POST", "/v1/chat/completions",
                     R"({"model":"nope","messages":[{"role":"user",)"
                     R"("content":"a"}]})")
                .status,
            404);
}

TEST_F(ServerTest, KnowsItsRoutesAndTheirMethods) {
  Start();
  Client client = Connect();
  const Response unknown = client.Ask("GET", "/v2/models");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_TRUE(Contains(unknown.body, "unknown_url"));
  const Response wrong = client.Ask("GET", "/v1/chat/completions");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.fields.at("allow"), "POST");
  EXPECT_EQ(client.Ask("DELETE", "/v1/models/echo").status, 405);
  EXPECT_EQ(client.Ask("OPTIONS", "*").status, 400);
}

TEST_F(ServerTest, RefusesABodyThatIsTooLargeAndSaysSo) {
  Start();
  const std::string body(9 << 20, 'x');
  EXPECT_EQ(Connect().Ask("POST", "/v1/chat/completions", body).status, 413);
  Client chunked = Connect();
  chunked.Send(
      "POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
      "\r\n900000\r\n" +
      body);
  EXPECT_EQ(chunked.Read().status, 413);
  EXPECT_EQ(Connect().Ask("GET", "/health").status, 200);
}

TEST_F(ServerTest, RefusesAHeaderThatIsTooLargeAndSaysSo) {
  Start();
  const std::string field = "X: " + std::string(64 << 10, 'x') + "\r\n";
  EXPECT_EQ(Connect().Ask("GET", "/health", "", field).status, 431);
  EXPECT_EQ(Connect().Ask("GET", "/" + std::string(64 << 10, 'x')).status, 431);
}

TEST_F(ServerTest, RefusesWhatIsNoHttp) {
  Start();
  for (const char* bytes :
       {"\x16\x03\x01\x02garbage\r\n\r\n", "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"}) {
    Client client = Connect();
    client.Send(bytes);
    EXPECT_EQ(client.Read().status, 400) << bytes;
    EXPECT_TRUE(client.Ended());
  }
}

TEST_F(ServerTest, AnswersAGoodRequestBeforeTheGarbageSentBehindIt) {
  Start();
  Client client = Connect();
  client.Send("GET /health HTTP/1.1\r\n\r\n\x01\x02\x03\r\n\r\n");
  EXPECT_EQ(client.Read().status, 200);
  EXPECT_EQ(client.Read().status, 400);
  EXPECT_TRUE(client.Ended());
}

TEST_F(ServerTest, TellsAClientThatAsksBeforeSendingItsBody) {
  Start();
  Client client = Connect();
  const std::string body = ChatBody("hello");
  const std::string head =
      "POST /v1/chat/completions HTTP/1.1\r\nExpect: 100-continue\r\n"
      "Content-Length: ";
  client.Send(head + std::to_string(body.size()) + "\r\n\r\n");
  EXPECT_EQ(client.Read().status, 100);
  client.Send(body);
  EXPECT_EQ(client.Read().status, 200);
  client.Send(head + "9000000\r\n\r\n");
  EXPECT_EQ(client.Read().status, 413);
}

// ---- Time limits ------------------------------------------------------------

TEST_F(ServerTest, CutsAClientThatTricklesItsHeader) {
  options_.header_timeout = 50ms;
  Start();
  Client client = Connect();
  client.Send("GET /health HT");
  EXPECT_TRUE(client.Ended());
  EXPECT_TRUE(Becomes("aio_http_timeouts_total{kind=\"header\"}", 1));
}

TEST_F(ServerTest, CutsAClientThatTricklesItsBody) {
  options_.body_timeout = 50ms;
  Start();
  Client client = Connect();
  client.Send("POST /v1/route HTTP/1.1\r\nContent-Length: 10\r\n\r\n{");
  EXPECT_TRUE(client.Ended());
  EXPECT_TRUE(Becomes("aio_http_timeouts_total{kind=\"body\"}", 1));
}

TEST_F(ServerTest, ClosesIdleConnections) {
  options_.idle_timeout = 50ms;
  Start();
  Client client = Connect();
  EXPECT_EQ(client.Ask("GET", "/health").status, 200);
  EXPECT_TRUE(client.Ended());
}

TEST_F(ServerTest, CancelsARequestThatTakesTooLong) {
  options_.request_timeout = 50ms;
  Start();
  Client client = Connect();
  client.Send(Post("/v1/completions", R"({"model":"hold","prompt":"a"})"));
  HoldBackend::Run run = hold_->Next();
  const Response r = client.Read();
  EXPECT_EQ(r.status, 504);
  EXPECT_TRUE(hold_->WaitForCancel(run.request->id));
  run.Fail(ErrorCode::kCancelled);
}

constexpr char kHeldStream[] = R"({"model":"hold","stream":true,"prompt":"a"})";

TEST_F(ServerTest, SendsCommentsWhileNothingIsReady) {
  options_.keep_alive_interval = 20ms;
  Start();
  Client client = Connect();
  client.Send(Post("/v1/completions", kHeldStream));
  HoldBackend::Run run = hold_->Next();
  EXPECT_TRUE(client.ReadUntil(": keep-alive\n\n"));
  run.Say("late");
  EXPECT_TRUE(client.ReadUntil(R"("text":"late")"));
  run.Finish();
  const Response r = client.Read();
  EXPECT_EQ(r.status, 200);
  EXPECT_TRUE(r.body.starts_with(": keep-alive\n\n"));
  EXPECT_TRUE(Contains(r.body, "\n: x-aio-variant: hold\n")) << r.body;
  EXPECT_TRUE(r.body.ends_with("data: [DONE]\n\n"));
}

TEST_F(ServerTest, ReportsALateFailureInsideTheStream) {
  options_.keep_alive_interval = 20ms;
  Start();
  Client client = Connect();
  client.Send(Post("/v1/completions", kHeldStream));
  HoldBackend::Run run = hold_->Next();
  EXPECT_TRUE(client.ReadUntil(": keep-alive\n\n"));
  run.Fail(ErrorCode::kUnavailable);
  const Response r = client.Read();
  EXPECT_TRUE(Contains(r.body, R"(data: {"error":{"message":)")) << r.body;
  EXPECT_FALSE(Contains(r.body, "[DONE]"));
  EXPECT_EQ(client.Ask("GET", "/health").status, 200);
}

TEST_F(ServerTest, ReportsAFailureBeforeTheStreamAsAStatus) {
  Start();
  Client client = Connect();
  client.Send(Post("/v1/completions", kHeldStream));
  hold_->Next().Fail(ErrorCode::kInvalidArgument);
  EXPECT_EQ(client.Read().status, 400);
}

// ---- Clients that go away ---------------------------------------------------

TEST_F(ServerTest, CancelsAStreamWhoseClientWentAway) {
  Start();
  Client client = Connect();
  client.Send(Post("/v1/completions", kHeldStream));
  HoldBackend::Run run = hold_->Next();
  run.Say("x");
  EXPECT_TRUE(client.ReadUntil("\"x\""));
  client.Close();
  EXPECT_TRUE(hold_->WaitForCancel(run.request->id));
  run.Fail(ErrorCode::kCancelled);
  EXPECT_TRUE(Becomes("aio_http_disconnects_total", 1));
  EXPECT_TRUE(Becomes("aio_http_requests_in_flight", 1));  // /metrics itself
}

TEST_F(ServerTest, CancelsAPlainRequestWhoseClientWentAway) {
  Start();
  Client client = Connect();
  client.Send(Post("/v1/completions", R"({"model":"hold","prompt":"a"})"));
  HoldBackend::Run run = hold_->Next();
  client.Close();
  EXPECT_TRUE(hold_->WaitForCancel(run.request->id));
  run.Fail(ErrorCode::kCancelled);
  EXPECT_TRUE(Becomes("aio_http_disconnects_total", 1));
}

TEST_F(ServerTest, CancelsAStreamWhoseClientDoesNotRead) {
  options_.write_buffer_bytes_max = 16 << 10;
  Start();
  Client client(server_->port(), 4096);
  client.Send(Post("/v1/completions", kHeldStream));
  HoldBackend::Run run = hold_->Next();
  const std::string text(1000, 'x');
  // Far more than all buffers on the way hold; the server must not block us.
  for (int i = 0; i < 5000; ++i) run.Say(text);
  EXPECT_TRUE(hold_->WaitForCancel(run.request->id));
  run.Fail(ErrorCode::kCancelled);
  EXPECT_TRUE(Becomes("aio_http_slow_clients_total", 1));
  EXPECT_EQ(Connect().Ask("GET", "/health").status, 200);
  EXPECT_TRUE(client.Ended());
}

TEST_F(ServerTest, CancelsAStreamWhoseClientReadsNothingForTooLong) {
  options_.write_buffer_bytes_max = 1 << 20;
  options_.write_timeout = 50ms;
  Start();
  Client client(server_->port(), 4096);
  client.Send(Post("/v1/completions", kHeldStream));
  HoldBackend::Run run = hold_->Next();
  run.Say(std::string(8 << 20, 'x'));
  EXPECT_TRUE(hold_->WaitForCancel(run.request->id));
  run.Fail(ErrorCode::kCancelled);
  EXPECT_TRUE(Becomes("aio_http_slow_clients_total", 1));
}

// ---- Bounds -----------------------------------------------------------------

TEST_F(ServerTest, RefusesConnectionsPastTheLimit) {
  options_.connections_max = 2;
  Start();
  Client one = Connect();
  Client two = Connect();
  EXPECT_EQ(one.Ask("GET", "/health").status, 200);
  EXPECT_EQ(two.Ask("GET", "/health").status, 200);
  Client three = Connect();
  EXPECT_EQ(three.Read().status, 503);
  EXPECT_TRUE(three.Ended());
  EXPECT_EQ(one.Ask("GET", "/health").status, 200);
}

TEST_F(ServerTest, RefusesRequestsPastTheLimitAndSaysWhenToComeBack) {
  options_.requests_max = 1;
  Start();
  Client one = Connect();
  one.Send(Post("/v1/completions", R"({"model":"hold","prompt":"a"})"));
  HoldBackend::Run run = hold_->Next();
  const Response r =
      Connect().Ask("POST", "/v1/chat/completions", ChatBody("a"));
  EXPECT_EQ(r.status, 429);
  EXPECT_EQ(r.fields.at("retry-after"), "1");
  run.Say("done");
  run.Finish();
  EXPECT_EQ(one.Read().status, 200);
}

// ---- The end ----------------------------------------------------------------

TEST_F(ServerTest, LetsRunningRequestsFinishWhenItDrains) {
  Start();
  Client idle = Connect();
  EXPECT_EQ(idle.Ask("GET", "/health").status, 200);
  Client busy = Connect();
  busy.Send(Post("/v1/completions", kHeldStream));
  HoldBackend::Run run = hold_->Next();
  run.Say("one");
  EXPECT_TRUE(busy.ReadUntil("one"));
  std::promise<void> drained;
  server_->Drain([&] { drained.set_value(); });
  EXPECT_TRUE(idle.Ended());
  run.Say("two");
  run.Finish();
  EXPECT_TRUE(busy.Read().body.ends_with("data: [DONE]\n\n"));
  EXPECT_TRUE(busy.Ended());
  EXPECT_EQ(drained.get_future().wait_for(20s), std::future_status::ready);
}

TEST_F(ServerTest, CancelsWhatStillRunsAfterTheDrainTimeout) {
  options_.drain_timeout = 20ms;
  Start();
  Client plain = Connect();
  plain.Send(Post("/v1/completions", R"({"model":"hold","prompt":"a"})"));
  HoldBackend::Run first = hold_->Next();
  Client stream = Connect();
  stream.Send(Post("/v1/completions", kHeldStream));
  HoldBackend::Run second = hold_->Next();
  second.Say("one");
  EXPECT_TRUE(stream.ReadUntil("one"));
  std::promise<void> drained;
  server_->Drain([&] { drained.set_value(); });
  EXPECT_EQ(plain.Read().status, 503);
  EXPECT_TRUE(Contains(stream.Read().body, "the server is shutting down"));
  EXPECT_TRUE(hold_->WaitForCancel(first.request->id));
  EXPECT_TRUE(hold_->WaitForCancel(second.request->id));
  first.Fail(ErrorCode::kCancelled);
  second.Fail(ErrorCode::kCancelled);
  EXPECT_EQ(drained.get_future().wait_for(20s), std::future_status::ready);
}

}  // namespace
}  // namespace aio::server
