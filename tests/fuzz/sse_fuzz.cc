// SPDX-License-Identifier: Apache-2.0
//
// A stream of server-sent events from a hostile server. The first byte limits
// an event, the second seeds where the rest is cut: the events must not depend
// on the cuts, no event may pass the limit, and what is decoded can be encoded
// again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "openai/sse.h"

namespace {

namespace openai = aio::openai;

struct Decoded {
  std::vector<openai::SseEvent> events;
  bool failed = false;
};

// Pieces of 1 to `piece_max` bytes; 0: all at once.
Decoded Decode(std::string_view stream, size_t limit, uint64_t seed,
               size_t piece_max) {
  Decoded decoded;
  openai::SseDecoder decoder(limit);
  uint64_t cut = 0;
  do {
    const size_t size = piece_max == 0
                            ? stream.size()
                            : 1 + aio::RandomBits(seed, 0, cut++) % piece_max;
    if (!decoder.Feed(stream.substr(0, size), &decoded.events)) {
      decoded.failed = true;
    }
    stream.remove_prefix(std::min(size, stream.size()));
  } while (!stream.empty());
  return decoded;
}

void CheckSame(const Decoded& a, const Decoded& b) {
  CHECK(a.failed == b.failed);
  CHECK(a.events.size() == b.events.size());
  for (size_t i = 0; i < a.events.size(); ++i) {
    CHECK(a.events[i].event == b.events[i].event);
    CHECK(a.events[i].data == b.events[i].data);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t limit = 1 + size_t{data[0]} * 4;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 2,
                                size - 2);
  const Decoded whole = Decode(stream, limit, 0, 0);
  CheckSame(whole, Decode(stream, limit, 0, 1));
  CheckSame(whole, Decode(stream, limit, data[1], 7));
  for (const openai::SseEvent& event : whole.events) {
    CHECK(event.data.size() <= limit);
    if (event.data.find_first_of("\r\n") != std::string::npos) continue;
    const Decoded again =
        Decode(openai::SseData(event.data), limit + 16, data[1], 3);
    CHECK(again.events.size() == 1 && again.events[0].data == event.data);
  }
  return 0;
}
