// SPDX-License-Identifier: Apache-2.0
#include "server/keys.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace aio::server {
namespace {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""h;

const std::vector<std::string> kVariants = {"small", "large"};

Keys Good(std::string_view text) {
  auto keys = Keys::Parse(text, kVariants);
  EXPECT_TRUE(keys) << keys.error().message;
  return keys ? *std::move(keys) : Keys();
}
std::string Wrong(std::string_view text) {
  const auto keys = Keys::Parse(text, kVariants);
  if (keys) return "nothing is wrong";
  EXPECT_EQ(keys.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(keys.error().param, "server.api_keys");
  return keys.error().message;
}

TEST(KeysTest, ALineSaysWhatItsKeyMayUse) {
  const Keys keys = Good(
      "# people\n"
      "sk-1 name=team-a requests=60/m  tokens=100000/h\tconcurrency=8 "
      "variants=small,large weight=2.5\r\n"
      "\n"
      "sk-2\n"
      "  sk-3  requests=5/s");
  const auto one = keys.Find("Bearer sk-1");
  ASSERT_NE(one, nullptr);
  EXPECT_EQ(one->name, "team-a");
  EXPECT_EQ(one->limits.requests->amount, 60);
  EXPECT_EQ(one->limits.requests->per, 1min);
  EXPECT_EQ(one->limits.tokens->amount, 100000);
  EXPECT_EQ(one->limits.tokens->per, 1h);
  EXPECT_EQ(one->limits.concurrency, 8);
  EXPECT_EQ(*one->variants, kVariants);
  EXPECT_EQ(one->weight, 2.5);
  const auto two = keys.Find("bearer sk-2");
  ASSERT_NE(two, nullptr);
  EXPECT_EQ(two->name, "key2") << "by its place among the keys";
  EXPECT_FALSE(two->limits.requests || two->limits.tokens);
  EXPECT_EQ(two->variants, nullptr);
  EXPECT_EQ(two->weight, 1);
  EXPECT_NE(two->tenant, one->tenant);
  EXPECT_EQ(keys.Find("Bearer sk-3")->limits.requests->per, 1s);
  for (const char* none : {"", "Bearer", "Bearer sk", "Bearer sk-1 name=team-a",
                           "Bearer # people", "Basic sk-1"}) {
    EXPECT_EQ(keys.Find(none), nullptr) << none;
  }
}

TEST(KeysTest, WithoutKeysEveryoneIsTheSame) {
  const auto anyone = Keys().Find("");
  ASSERT_NE(anyone, nullptr);
  EXPECT_EQ(anyone->tenant, 0u);
  EXPECT_EQ(anyone->account, nullptr);
}

TEST(KeysTest, SaysWhereItIsWrongAndWhatWouldBeRight) {
  const std::pair<const char*, const char*> cases[] = {
      {"sk-1\nsk-2 reqests=6/m",
       "line 2: an unknown word, did you mean 'requests'?"},
      {"sk-1 zzzzzzzz=6/m",
       "line 1: an unknown word; there are name, requests, tokens, "
       "concurrency, variants, weight, admin"},
      {"sk-1 sk-2", "line 1: behind the key come words name=value"},
      {"name=a sk-1", "line 1: the key comes first"},
      {"sk-1 weight=1 weight=2", "line 1: weight stands twice"},
      {"sk-1 variants=smal",
       "line 1: variants: there is no such variant, did "
       "you mean 'small'?"},
      {"sk-1 variants=small,", "line 1: variants: there is no such variant"},
      {"sk-1\n\nsk-1 name=b", "line 3: the key of line 1 again"},
      {"sk-1 name=a\nsk-2 name=a", "line 2: the name of line 1 again"},
      {"sk-1 name=key2\nsk-2", "line 2: the name of line 1 again"},
      {"", "holds no API key"},
      {"# sk-1\n", "holds no API key"},
  };
  for (const auto& [text, message] : cases) EXPECT_EQ(Wrong(text), message);
  for (const char* rate : {"60", "60/", "60/min", "/m", "0/m", "-1/m", "1.5/m",
                           "60/m/", "9999999999999999999/m", ""}) {
    EXPECT_EQ(Wrong(std::string("sk-1 tokens=") + rate),
              "line 1: tokens: a rate is a whole number above zero and /s, /m "
              "or /h, as 60/m");
  }
  for (const char* word :
       {"concurrency=0", "concurrency=many", "weight=0", "weight=-1",
        "weight=nan", "weight=inf", "weight=2x", "name=", "name=a b",
        "name=\xC3\xA4", "name=a\"}", "variants=", "variants=auto"}) {
    EXPECT_NE(Wrong(std::string("sk-1 ") + word), "nothing is wrong") << word;
  }
  EXPECT_EQ(Wrong("sk-1 name=" + std::string(65, 'a')),
            "line 1: name: a name is 1 to 64 letters, digits and ._-");
  EXPECT_EQ(Wrong(std::string((1 << 20) + 1, 'k')), "more than 1 MiB");
}

// Wherever in its line a key may have slipped.
TEST(KeysTest, NoErrorQuotesWhatMayBeAKey) {
  const std::string secret = "sk-s3cr3t+/==";
  for (const char* before :
       {"", "sk-1 ", "name=", "sk-1 name=", "sk-1 tokens=", "sk-1 variants=",
        "sk-1 weight=", "sk-1 concurrency=", "sk-1 requests=60/"}) {
    for (const char* behind : {"", "=1", " name=!", " sk-2", ",small"}) {
      const std::string line = std::string(before) + secret + behind;
      const std::string said = Wrong(line + "\n" + line);
      EXPECT_NE(said, "nothing is wrong") << line;
      EXPECT_EQ(said.find("s3cr3t"), std::string::npos) << line;
    }
  }
}

TEST(KeysTest, KeysThatStayGoOnWithWhatTheyHaveUsed) {
  const Time now = Time{} + 1000h;
  const Keys old = Good("sk-1 requests=2/m\nsk-2 requests=2/m");
  Ticket running, other;
  EXPECT_FALSE(running.Admit(old.Find("Bearer sk-1")->account, 1, now));
  EXPECT_FALSE(other.Admit(old.Find("Bearer sk-2")->account, 1, now));
  // Another place, another name: it is the key that counts.
  Keys keys = Good("sk-3 requests=9/m\nsk-1 name=b requests=9/m concurrency=1");
  keys.Continue(old, now);
  Ticket second;
  const auto limited = second.Admit(keys.Find("Bearer sk-1")->account, 1, now);
  ASSERT_TRUE(limited);
  EXPECT_EQ(limited->limit, "concurrency");
  running.Settle(1, true, now);
  EXPECT_FALSE(second.Admit(keys.Find("Bearer sk-1")->account, 1, now));
  EXPECT_EQ(keys.Find("Bearer sk-1")->account->Headers(now)[1].second, "0");
  EXPECT_EQ(keys.Find("Bearer sk-3")->account->Headers(now)[1].second, "9");
  EXPECT_EQ(keys.Find("Bearer sk-2"), nullptr);
  other.Settle(1, true, now);  // its key is gone, which harms nobody
}

}  // namespace
}  // namespace aio::server
