// SPDX-License-Identifier: Apache-2.0
#include "openai/sse.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace aio::openai {
namespace {

// The data of the events of `text`, fed in pieces of `size` bytes.
std::vector<std::string> Decode(std::string_view text, size_t size) {
  SseDecoder decoder;
  std::vector<SseEvent> events;
  for (size_t i = 0; i < text.size(); i += size) {
    EXPECT_TRUE(decoder.Feed(text.substr(i, size), &events));
  }
  std::vector<std::string> data;
  for (const SseEvent& event : events) data.push_back(event.data);
  return data;
}

TEST(SseTest, DecodesTheSameHoweverTheBytesAreCut) {
  const std::string text =
      "data: one\n\ndata: two\r\n\r\ndata: three\r\r: comment\n\n"
      "event: x\ndata: a\ndata: b\n\ndata:c\ndata\n\n";
  const std::vector<std::string> want = {"one", "two", "three", "a\nb", "c\n"};
  for (size_t size = 1; size <= text.size(); ++size) {
    EXPECT_EQ(Decode(text, size), want) << size;
  }
}

TEST(SseTest, ReadsTheStandardsExample) {
  // WHATWG HTML, 9.2.6: of these, "data" and "data\ndata" make two events.
  EXPECT_EQ(Decode("data\n\ndata\ndata\n\ndata:\n", 3),
            (std::vector<std::string>{"", "\n"}));
  EXPECT_EQ(Decode("data:test\n\ndata: test\n\n", 1),
            (std::vector<std::string>{"test", "test"}));
}

TEST(SseTest, KeepsTheEventNameForOneEventOnly) {
  SseDecoder decoder;
  std::vector<SseEvent> events;
  ASSERT_TRUE(decoder.Feed("event: error\ndata: 1\n\ndata: 2\n\n", &events));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].event, "error");
  EXPECT_EQ(events[1].event, "");
}

TEST(SseTest, SkipsAByteOrderMarkAtTheStartOnly) {
  EXPECT_EQ(Decode("\xEF\xBB\xBF"
                   "data: a\n\n\xEF\xBB\xBF"
                   "data: b\n\n",
                   2),
            (std::vector<std::string>{"a"}));
}

TEST(SseTest, DropsAnEventWithoutItsBlankLine) {
  EXPECT_TRUE(Decode("data: half", 4).empty());
  EXPECT_TRUE(Decode("data: half\n", 4).empty());
}

TEST(SseTest, FailsForGoodOnAnEventLargerThanTheLimit) {
  SseDecoder decoder(16);
  std::vector<SseEvent> events;
  ASSERT_TRUE(decoder.Feed("data: 0123456789", &events));
  const auto failed = decoder.Feed("x", &events);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(decoder.Feed("\n\ndata: a\n\n", &events));
  EXPECT_TRUE(events.empty());
}

TEST(SseTest, CountsAllLinesOfAnEventTowardsTheLimit) {
  SseDecoder decoder(64);
  std::vector<SseEvent> events;
  bool failed = false;
  for (int i = 0; i < 64 && !failed; ++i) {
    failed = !decoder.Feed("data: x\n", &events);
  }
  EXPECT_TRUE(failed);
}

TEST(SseTest, DecodesWhatItEncodes) {
  const std::string stream =
      SseData("{\"a\":1}") + std::string(kSseKeepAlive) + std::string(kSseDone);
  EXPECT_EQ(Decode(stream, 5),
            (std::vector<std::string>{"{\"a\":1}", "[DONE]"}));
}

}  // namespace
}  // namespace aio::openai
