// SPDX-License-Identifier: Apache-2.0
//
// API keys over real connections.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "server/server.h"
#include "server/server_fixture.h"

namespace aio::server {
namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string Bearer(const std::string& key) {
  return "Authorization: Bearer " + key + "\r\n";
}

class KeysServerTest : public ServerTest {
 protected:
  KeysServerTest() {
    options_.api_keys = testing::TempDir() + "/aio_server_keys_test";
  }
  ~KeysServerTest() override { std::remove(options_.api_keys.c_str()); }

  void Write(const std::string& text) {
    FILE* file = std::fopen(options_.api_keys.c_str(), "w");
    ASSERT_NE(file, nullptr);
    std::fputs(text.c_str(), file);
    std::fclose(file);
  }
  void Start(const std::string& text) {
    Write(text);
    ServerTest::Start();
  }
  Response Ask(const std::string& key, const std::string& body) {
    return Connect().Ask("POST", "/v1/completions", body, Bearer(key));
  }
};

const std::string kEcho = R"({"model":"echo","prompt":"one two three"})";
const std::string kHeld = R"({"model":"hold","prompt":"a"})";
const std::string kHeldStream =
    R"({"model":"hold","prompt":"a","stream":true})";

TEST_F(KeysServerTest, LetsInOnlyThoseWithAKey) {
  Start("# people\nsecret-one\n\nsecret-two\r\n");
  Client client = Connect();
  const Response none = client.Ask("GET", "/v1/models");
  EXPECT_EQ(none.status, 401);
  EXPECT_TRUE(Contains(none.body, "invalid_api_key"));
  const auto with = [&](const std::string& value) {
    return client
        .Ask("GET", "/v1/models", "", "Authorization: " + value + "\r\n")
        .status;
  };
  EXPECT_EQ(with("Bearer secret-one"), 200);
  EXPECT_EQ(with("bearer secret-two"), 200);
  EXPECT_EQ(with("Bearer secret"), 401);
  EXPECT_EQ(with("Bearer "), 401);
  EXPECT_EQ(with("Bearer # people"), 401);
  EXPECT_EQ(with("Basic secret-one"), 401);
  EXPECT_EQ(client.Ask("GET", "/health").status, 200);
  // Refused before the body is read; the connection cannot go on.
  EXPECT_EQ(client.Ask("POST", "/v1/completions", "{}").status, 401);
  EXPECT_TRUE(client.Ended());
}

// ---- Limits -----------------------------------------------------------------

TEST_F(KeysServerTest, TellsALimitedKeyWhenToComeBackAndLeavesOthersAlone) {
  Start("a name=team requests=2/m\nb\n");
  const Response first = Ask("a", kEcho);
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.fields.at("x-ratelimit-limit-requests"), "2");
  EXPECT_EQ(first.fields.at("x-ratelimit-remaining-requests"), "1");
  EXPECT_EQ(first.fields.at("x-ratelimit-reset-requests"), "30s");
  EXPECT_EQ(first.fields.count("x-ratelimit-limit-tokens"), 0u);
  EXPECT_EQ(Ask("a", kEcho).status, 200);
  const Response refused = Ask("a", kEcho);
  EXPECT_EQ(refused.status, 429);
  EXPECT_TRUE(Contains(refused.body, R"("code":"rate_limit_exceeded")"));
  EXPECT_TRUE(Contains(refused.body, "2 requests per minute: retry in "));
  const int seconds = std::stoi(refused.fields.at("retry-after"));
  EXPECT_GE(seconds, 1);
  EXPECT_LE(seconds, 30);
  EXPECT_EQ(refused.fields.at("x-ratelimit-remaining-requests"), "0");
  EXPECT_EQ(Metric(R"(aio_limited_total{key="team",limit="requests"})"), 1);
  const Response other = Ask("b", kEcho);
  EXPECT_EQ(other.status, 200);
  EXPECT_EQ(other.fields.count("x-ratelimit-limit-requests"), 0u);
}

TEST_F(KeysServerTest, CountsTheTokensThatAnAnswerTook) {
  Start("a name=team tokens=1000/h\n");  // 16 at once
  const Response first = Ask("a", kEcho);
  ASSERT_EQ(first.status, 200);
  EXPECT_EQ(first.fields.at("x-ratelimit-limit-tokens"), "16");
  const size_t at = first.body.find("\"total_tokens\":");
  ASSERT_NE(at, std::string::npos);
  const int total = std::stoi(first.body.substr(at + 15));
  EXPECT_GT(total, 0);
  EXPECT_TRUE(Becomes(R"(aio_key_tokens_total{key="team"})", total));
  Response last;
  for (int i = 0; i < 20 && last.status != 429; ++i) last = Ask("a", kEcho);
  EXPECT_EQ(last.status, 429);
  EXPECT_TRUE(Contains(last.body, "1000 tokens per hour"));
}

TEST_F(KeysServerTest, StreamsHaveTheHeadersAndHoldTheirPlaceUntilTheyEnd) {
  Start("a name=team concurrency=1 requests=60/m\n");
  Client client = Connect();
  client.Send(Post("/v1/completions", kHeldStream, Bearer("a")));
  HoldBackend::Run run = hold_->Next();
  const Response refused = Ask("a", kEcho);
  EXPECT_EQ(refused.status, 429);
  EXPECT_TRUE(Contains(refused.body, "1 requests at once"));
  EXPECT_EQ(refused.fields.at("retry-after"), "1");
  run.Say("text");
  run.Finish();
  const Response stream = client.Read();
  EXPECT_EQ(stream.status, 200);
  EXPECT_EQ(stream.fields.at("x-ratelimit-remaining-requests"), "59");
  // On the same connection, so that the stream is over for the server too.
  EXPECT_EQ(client.Ask("POST", "/v1/completions", kEcho, Bearer("a")).status,
            200);
}

TEST_F(KeysServerTest, ARequestThatFailsOrIsCancelledGivesBackWhatItDidNotUse) {
  Start("a name=team requests=2/m tokens=100/m concurrency=1\n");
  const std::string held =
      R"({"model":"hold","prompt":")" + std::string(320, 'a') + "\"}";
  Client failing = Connect();
  failing.Send(Post("/v1/completions", held, Bearer("a")));
  hold_->Next().Fail(ErrorCode::kUnavailable);
  EXPECT_EQ(failing.Read().status, 503);
  Client leaving = Connect();
  leaving.Send(Post("/v1/completions", held, Bearer("a")));
  const HoldBackend::Run run = hold_->Next();
  leaving.Close();
  EXPECT_TRUE(hold_->WaitForCancel(run.request->id));
  // It has left when its place is free.
  Response next = Ask("a", kEcho);
  while (Contains(next.body, "at once")) next = Ask("a", kEcho);
  ASSERT_EQ(next.status, 200) << next.body;
  EXPECT_EQ(next.fields.at("x-ratelimit-remaining-requests"), "0")
      << "who leaves has asked; whom we failed has not";
  EXPECT_EQ(next.fields.at("x-ratelimit-remaining-tokens"), "97");
}

TEST_F(KeysServerTest, WhoLeavesDuringAnAnswerPaysForWhatCame) {
  Start("a name=team\n");
  Client client = Connect();
  client.Send(Post("/v1/completions",
                   R"({"model":"hold","prompt":"12345678","stream":true})",
                   Bearer("a")));
  HoldBackend::Run run = hold_->Next();
  run.Say("one");
  EXPECT_TRUE(client.ReadUntil("one"));
  run.Say("two");
  EXPECT_TRUE(client.ReadUntil("two"));
  client.Close();
  EXPECT_TRUE(hold_->WaitForCancel(run.request->id));
  EXPECT_TRUE(Becomes(R"(aio_key_tokens_total{key="team"})", 2 + 2));
}

TEST_F(KeysServerTest, AKeySeesAndUsesOnlyItsVariants) {
  Start("a variants=hold weight=2\nb\n");
  Client client = Connect();
  const auto get = [&](const std::string& path, const std::string& key) {
    return client.Ask("GET", path, "", Bearer(key));
  };
  EXPECT_FALSE(Contains(get("/v1/models", "a").body, "echo"));
  EXPECT_TRUE(Contains(get("/v1/models", "a").body, "\"auto\""));
  EXPECT_TRUE(Contains(get("/v1/models", "b").body, "echo"));
  EXPECT_EQ(get("/v1/models/echo", "a").status, 404);
  EXPECT_EQ(get("/v1/models/echo", "b").status, 200);
  const Response denied = Ask("a", kEcho);
  EXPECT_EQ(denied.status, 403);
  EXPECT_TRUE(Contains(denied.body, R"("param":"model","code":"not_allowed")"));
  EXPECT_EQ(denied.fields.count("www-authenticate"), 0u);
  // Routed, it goes where it may: by itself it would go to echo.
  client.Send(
      Post("/v1/completions", R"({"model":"auto","prompt":"a"})", Bearer("a")));
  HoldBackend::Run run = hold_->Next();
  EXPECT_EQ(run.request->weight, 2);
  EXPECT_NE(run.request->tenant, 0u);
  run.Say("here");
  run.Finish();
  EXPECT_EQ(client.Read().fields.at("x-aio-variant"), "hold");
}

// ---- Reload -----------------------------------------------------------------

TEST_F(KeysServerTest, ReloadsWithoutEndingAStream) {
  Start("a name=team requests=1/m\ngone\n");
  Client client = Connect();
  client.Send(Post("/v1/completions", kHeldStream, Bearer("gone")));
  HoldBackend::Run run = hold_->Next();
  run.Say("one");
  EXPECT_TRUE(client.ReadUntil("one"));
  EXPECT_EQ(Ask("a", kEcho).status, 200);
  EXPECT_EQ(Ask("a", kEcho).status, 429);
  Write("a name=team requests=60/s\nnew\n");
  EXPECT_TRUE(server_->ReloadKeys());
  EXPECT_EQ(Ask("gone", kEcho).status, 401);
  EXPECT_EQ(Ask("new", kEcho).status, 200);
  Response later = Ask("a", kEcho);
  // What was used stays used: the bucket fills at its new rate from where it
  // was.
  while (later.status == 429) later = Ask("a", kEcho);
  EXPECT_EQ(later.status, 200);
  EXPECT_EQ(later.fields.at("x-ratelimit-limit-requests"), "60");
  run.Say("two");
  run.Finish();
  EXPECT_TRUE(client.Read().body.ends_with("data: [DONE]\n\n"));
}

TEST_F(KeysServerTest, AWrongFileLeavesTheOldKeys) {
  Start("a requests=60/m\n");
  for (const char* text : {"", "a requests=60\n", "b variants=ecko\n"}) {
    Write(text);
    const auto reloaded = server_->ReloadKeys();
    ASSERT_FALSE(reloaded) << text;
    EXPECT_EQ(reloaded.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(Ask("a", kEcho).status, 200);
    EXPECT_EQ(Ask("b", kEcho).status, 401);
  }
  std::remove(options_.api_keys.c_str());
  EXPECT_EQ(server_->ReloadKeys().error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Ask("a", kEcho).status, 200);
}

// ---- The file ---------------------------------------------------------------

TEST_F(ServerTest, RefusesToListenToOthersWithoutKeys) {
  parts_.io = io_.get_executor();
  parts_.metrics = &metrics_;
  for (const char* address : {"0.0.0.0:0", "[::]:0"}) {
    options_.listen = address;
    Server server(parts_, options_);
    const auto started = server.Start();
    ASSERT_FALSE(started) << address;
    EXPECT_TRUE(started.error().code == ErrorCode::kDenied ||
                started.error().code == ErrorCode::kUnavailable);
    EXPECT_EQ(started.error().param, "server.listen");
  }
  io_.run();
}

TEST_F(ServerTest, RefusesAKeyFileThatIsMissingOrEmpty) {
  Make();
  options_.api_keys = "/nonexistent/keys";
  {
    Server server(parts_, options_);
    EXPECT_EQ(server.Start().error().code, ErrorCode::kNotFound);
  }
  options_.api_keys = "/dev/null";
  {
    Server server(parts_, options_);
    EXPECT_EQ(server.Start().error().code, ErrorCode::kInvalidArgument);
  }
  io_.run();
}

}  // namespace
}  // namespace aio::server
