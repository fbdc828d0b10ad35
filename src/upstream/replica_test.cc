// SPDX-License-Identifier: Apache-2.0
//
// A server over time: its connections, its health, its name.
#include "upstream/replica.h"

#include <gtest/gtest.h>

#include "upstream/backend_fixture.h"
#include "upstream/upstream.h"

namespace aio::upstream {
namespace {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using Then = ScriptedUpstream::Then;
using Address = Connection::Address;

std::string Whole(const std::string& type, const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

class ConnectionsTest : public OpenAiBackendTest {
 protected:
  void Answers(Then then) {
    upstream_.Add({{Whole("text/event-stream", WholeStream())}, then});
  }
  void Good() {
    const auto sink = Start();
    RunToEnd(*sink);
    EXPECT_TRUE(*sink->done) << sink->message();
    EXPECT_EQ(sink->text, "Hello");
  }
};

TEST_F(ConnectionsTest, OneIsUsedAgain) {
  for (int i = 0; i < 5; ++i) Answers(Then::kAgain);
  for (int i = 0; i < 5; ++i) Good();
  EXPECT_EQ(upstream_.connections(), 1);
}

TEST_F(ConnectionsTest, OneThatWasIdleForLongIsNot) {
  for (int i = 0; i < 2; ++i) Answers(Then::kAgain);
  Good();
  clock_.Advance(4s);
  Good();
  EXPECT_EQ(upstream_.connections(), 2);
}

TEST_F(ConnectionsTest, OneThatTheServerHasClosedCostsNoRequest) {
  Answers(Then::kClose);
  Answers(Then::kAgain);
  Good();
  Good();
  EXPECT_EQ(upstream_.connections(), 2);
  EXPECT_EQ(upstream_.requests().size(), 2u);
  EXPECT_TRUE(Healthy());
}

// The server takes the request and closes before a byte of an answer: the race
// of every kept connection. Another one is asked.
TEST_F(ConnectionsTest, OneThatClosesUnderARequestCostsAnotherConnection) {
  Answers(Then::kAgain);
  upstream_.Add({{}, Then::kClose});
  Answers(Then::kAgain);
  Good();
  Good();
  EXPECT_EQ(upstream_.connections(), 2);
  EXPECT_EQ(upstream_.requests().size(), 3u);
}

TEST_F(ConnectionsTest, OneWithAnAnswerCutShortIsNotUsedAgain) {
  upstream_.Add(
      {{Whole("text/event-stream", WholeStream()) + "more"}, Then::kAgain});
  Answers(Then::kAgain);
  Good();
  Good();
  EXPECT_EQ(upstream_.connections(), 2);
}

// ---- Health -----------------------------------------------------------------

class HealthTest : public OpenAiBackendTest {
 protected:
  HealthTest() { options_.replica.health_path = "/health"; }
  void Says(const std::string& status, const std::string& body = "") {
    upstream_.AddAnswer(status, "text/plain", body);
  }
  // Lets the check run that is due in two seconds.
  void Check() {
    const size_t before = upstream_.requests().size();
    clock_.Advance(2s);
    RunUntil([&] { return upstream_.requests().size() > before; });
    for (int i = 0; i < 20; ++i) io_.poll();
  }
  void Begin() {
    backend();
    RunUntil([&] { return !upstream_.requests().empty(); });
    for (int i = 0; i < 20; ++i) io_.poll();
  }
};

TEST_F(HealthTest, IsAGetThatSendsNoRequestToTheModel) {
  Says("200 OK");
  Begin();
  EXPECT_EQ(upstream_.requests()[0].method_string(), "GET");
  EXPECT_EQ(upstream_.requests()[0].target(), "/health");
  EXPECT_TRUE(Healthy());
}

TEST_F(HealthTest, ThreeFailuresEjectAndOneSuccessLetsItBeTried) {
  for (int i = 0; i < 3; ++i) Says("503 Service Unavailable");
  Begin();
  Check();
  EXPECT_TRUE(Healthy());
  Check();
  EXPECT_FALSE(Healthy());
  Says("200 OK");
  Check();
  EXPECT_TRUE(Healthy());
}

TEST_F(HealthTest, AServerWithoutTheRouteIsWell) {
  for (int i = 0; i < 5; ++i) Says("404 Not Found");
  Begin();
  for (int i = 0; i < 4; ++i) Check();
  EXPECT_TRUE(Healthy());
}

// A server that only says nothing may be busy: what runs there goes on. One
// that cannot be reached has lost what ran there.
TEST_F(HealthTest, WhatRunsEndsOnlyWhereNobodyListensAnyMore) {
  Says("200 OK");
  Begin();
  upstream_.AddStream(Chunk("Hel"), Then::kStall);
  const auto running = Start();
  RunUntil([&] { return running->served.has_value(); });
  upstream_.StopListening();
  for (int i = 0; i < 2; ++i) {
    clock_.Advance(2s);
    for (int j = 0; j < 20; ++j) io_.poll();
  }
  EXPECT_FALSE(running->done);
  clock_.Advance(2s);
  RunToEnd(*running);
  EXPECT_EQ(running->error(), ErrorCode::kUnavailable);
  EXPECT_NE(running->message().find("gone"), std::string::npos);
}

TEST_F(HealthTest, CountsTheRequestsThatAreNotOurs) {
  options_.replica.metrics_path = "/metrics";
  Says("200 OK");
  Says("200 OK", "vllm:num_requests_running 5\nvllm:num_requests_waiting 2\n");
  backend();
  RunUntil([&] { return backend().View("npu-7b").others == 7; });
}

// ---- Names ------------------------------------------------------------------

Address At(const std::string& ip) {
  return {boost::asio::ip::make_address(ip), 8000};
}

TEST(DistinctTest, OneServerHasOneAddress) {
  EXPECT_EQ(
      Distinct({At("10.0.0.2"), At("::1"), At("10.0.0.1"), At("10.0.0.2")}),
      (std::vector<Address>{At("10.0.0.1"), At("10.0.0.2")}));
  EXPECT_EQ(Distinct({At("::2")}), std::vector<Address>{At("::2")});
}

TEST(PlacedTest, WhoStaysKeepsHisPlace) {
  using Places = std::vector<std::optional<Address>>;
  const Address a = At("10.0.0.1"), b = At("10.0.0.2"), c = At("10.0.0.3");
  EXPECT_EQ(Placed(Places(3), {a, b}), (Places{a, b, std::nullopt}));
  EXPECT_EQ(Placed({a, b, std::nullopt}, {b, c}), (Places{c, b, std::nullopt}));
  EXPECT_EQ(Placed({a, b}, {a, b, c}), (Places{a, b}));
  EXPECT_EQ(Placed({a, b}, {}), Places(2));
}

class NamesTest : public testing::Test {
 protected:
  // The addresses that the name has now; an error if there is none.
  void Make(int places) {
    Upstream::Options options;
    options.urls = {"http://engines:8000/v1"};
    options.places = places;
    options.backend.variants = {{"v", "m"}};
    options.backend.lookup = [this](const std::string& host,
                                    const std::string& port, LookedUp done) {
      EXPECT_EQ(host, "engines");
      EXPECT_EQ(port, "8000");
      ++lookups_;
      if (found_.empty()) {
        return done(Error{ErrorCode::kUnavailable, "no such name", ""});
      }
      done(found_);
    };
    auto made = Upstream::Make(std::move(options), io_.get_executor(), &clock_);
    ASSERT_TRUE(made);
    upstream_ = *std::move(made);
    clock_.Run();
  }
  // [place] whether somebody is there.
  std::vector<bool> Present() const {
    std::vector<bool> present;
    for (const auto& place : upstream_->places()) {
      present.push_back(place.backend->View("v").present);
    }
    return present;
  }

  boost::asio::io_context io_;
  ManualExecutor clock_;
  std::vector<Address> found_;
  int lookups_ = 0;
  std::unique_ptr<Upstream> upstream_;
};

TEST_F(NamesTest, ServersComeAndGoBehindAName) {
  found_ = {At("10.0.0.1")};
  Make(3);
  EXPECT_EQ(Present(), (std::vector<bool>{true, false, false}));
  found_ = {At("10.0.0.1"), At("10.0.0.2")};
  clock_.Advance(30s);
  EXPECT_EQ(Present(), (std::vector<bool>{true, true, false}));
  found_ = {At("10.0.0.2")};
  clock_.Advance(30s);
  EXPECT_EQ(Present(), (std::vector<bool>{false, true, false}));
}

TEST_F(NamesTest, ANameServerThatIsDownTakesNobodyAway) {
  found_ = {At("10.0.0.1")};
  Make(2);
  found_.clear();
  clock_.Advance(300s);
  EXPECT_EQ(Present(), (std::vector<bool>{true, false}));
  EXPECT_EQ(lookups_, 11);
}

TEST_F(NamesTest, AnUnknownNameIsLookedUpEverySecond) {
  Make(2);
  EXPECT_EQ(Present(), (std::vector<bool>{false, false}));
  clock_.Advance(5s);
  EXPECT_EQ(lookups_, 6);
  found_ = {At("10.0.0.1")};
  clock_.Advance(1s);
  EXPECT_EQ(Present(), (std::vector<bool>{true, false}));
}

// ---- What was sent ----------------------------------------------------------

core::Request Saying(const std::vector<std::string>& turns,
                     uint64_t tenant = 0) {
  core::Request request;
  request.tenant = tenant;
  for (size_t i = 0; i < turns.size(); ++i) {
    request.messages.push_back(
        {i % 2 == 0 ? core::Role::kUser : core::Role::kAssistant, turns[i]});
  }
  return request;
}

TEST(PromptHashesTest, PromptsShareWhatTheyBeginWith) {
  const std::string document(3000, 'd');
  const HashChain first = ChainOf(Saying({document + "one"}));
  const HashChain second = ChainOf(Saying({document + "two, and more"}));
  SentPrompts sent(100);
  sent.Add(first);
  EXPECT_EQ(sent.Match(first), first.size());
  EXPECT_EQ(sent.Match(second), 3000 / kBlockBytes);
  EXPECT_EQ(sent.Match(ChainOf(Saying({"x" + document}))), 0u);
}

TEST(PromptHashesTest, TheNextTurnFindsTheOneBefore) {
  const std::string question(2000, 'q');
  const std::string answer(2000, 'a');
  SentPrompts sent(100);
  sent.Add(ChainOf(Saying({question})));
  const HashChain next = ChainOf(Saying({question, answer, "and then?"}));
  EXPECT_GE(sent.Match(next), 2000 / kBlockBytes);
}

TEST(PromptHashesTest, TenantsShareNothing) {
  SentPrompts sent(100);
  sent.Add(ChainOf(Saying({std::string(3000, 'd')}, 1)));
  EXPECT_EQ(sent.Match(ChainOf(Saying({std::string(3000, 'd')}, 2))), 0u);
}

TEST(PromptHashesTest, WhatWasUsedLongAgoIsForgottenFromItsEnd) {
  SentPrompts sent(10);
  const HashChain first = ChainOf(Saying({std::string(6 * kBlockBytes, 'a')}));
  const HashChain second = ChainOf(Saying({std::string(6 * kBlockBytes, 'b')}));
  sent.Add(first);
  sent.Add(second);
  EXPECT_EQ(sent.Match(second), 6u);
  EXPECT_EQ(sent.Match(first), 4u);
}

}  // namespace
}  // namespace aio::upstream
