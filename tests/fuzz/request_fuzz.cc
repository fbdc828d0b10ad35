// SPDX-License-Identifier: Apache-2.0
//
// JSON from clients and from upstreams. The first byte says which: a chat, a
// completion or a route request, or an upstream's answer. A request that is
// accepted keeps its limits and is accepted again; a refusal can be written; an
// answer that is understood can be passed on, plain and streamed, as JSON.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "openai/answer.h"
#include "openai/error.h"
#include "openai/json.h"
#include "openai/request.h"
#include "openai/sse.h"
#include "openai/write.h"

namespace {

using aio::openai::Kind;
namespace openai = aio::openai;

constexpr int kChoices = 3;

void Ask(Kind kind, const std::string& body) {
  openai::Limits limits;
  const auto parsed = openai::ParseRequest(kind, body, limits);
  if (!parsed) {
    CHECK(openai::ParseJson(openai::ErrorJson(parsed.error())));
    return;
  }
  const aio::core::Request& request = parsed->request;
  CHECK(request.choices >= 1 && request.choices <= limits.choices_max);
  CHECK(request.stop.size() <= static_cast<size_t>(limits.stop_max));
  CHECK(!request.chat || !request.messages.empty());
  CHECK(request.max_tokens.value_or(1) >= 1);
  CHECK(request.raw_json == body);
  const auto again = openai::ParseRequest(kind, request.raw_json, limits);
  CHECK(again && again->request.prompt == request.prompt);
}

void CheckStream(const std::string& stream) {
  openai::SseDecoder decoder(size_t{1} << 24);
  std::vector<openai::SseEvent> events;
  CHECK(decoder.Feed(stream, &events));
  CHECK(!events.empty() && events.back().data == "[DONE]");
  events.pop_back();
  for (const openai::SseEvent& event : events) {
    CHECK(openai::ParseAnswer(event.data, kChoices));
  }
}

void PassOn(const std::string& message, bool chat) {
  const auto answer = openai::ParseAnswer(message, kChoices);
  if (!answer) {
    CHECK(openai::ParseJson(openai::ErrorJson(answer.error())));
    return;
  }
  const openai::Head head{"id", chat, 1, "model", answer->fingerprint};
  openai::StreamWriter stream(head, kChoices, true);
  openai::PlainWriter plain(kChoices);
  std::string out;
  for (const aio::core::Delta& delta : answer->deltas) {
    stream.Delta(delta, &out);
    plain.Delta(delta);
  }
  aio::core::Done done;
  if (answer->usage) done.usage = *answer->usage;
  stream.Done(done, &out);
  CheckStream(out);
  CHECK(openai::ParseAnswer(plain.Write(head, done), kChoices));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string body(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0:
      Ask(Kind::kChat, body);
      break;
    case 1:
      Ask(Kind::kCompletion, body);
      break;
    case 2:
      Ask(Kind::kRoute, body);
      break;
    case 3:
      PassOn(body, true);
      break;
    default:
      PassOn(body, false);
      break;
  }
  return 0;
}
