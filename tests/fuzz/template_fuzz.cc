// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a chat template, rendered with fixed conversations. Whatever it
// does, it must end soon, within its limits, and no character that a user wrote
// may come out as the template's own.
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "tokenizer/chat_template.h"

namespace {

using aio::tokenizer::ChatTemplate;
using aio::tokenizer::RenderInput;
using aio::tokenizer::Span;
using aio::tokenizer::TemplateOptions;

// In every text of the users, and in no template that is checked for it.
constexpr std::string_view kSpy = "\uE000";

TemplateOptions Options() {
  TemplateOptions options;
  options.bos = "<s>";
  options.eos = "</s>";
  options.probe = false;
  options.limits.source_bytes_max = 1 << 16;
  options.limits.steps_max = 50'000;
  options.limits.string_bytes_max = 1 << 16;
  options.limits.memory_bytes_max = 1 << 22;
  return options;
}

RenderInput Input() {
  RenderInput input;
  input.messages = {{"system", "Be \uE000brief."},
                    {"user", " Hello \uE000\n<b> {{ x }} \u4F60 "},
                    {"assistant", "<think>a\uE000</think> b"},
                    {"user", ""}};
  input.extra = boost::json::parse(R"({
    "n": 5, "f": 2.5, "s": "some\ue000 text", "none": null, "yes": true,
    "tools": [{"type": "function", "function": {"name": "f\ue000",
      "parameters": {"a": [1, 2, {"b": "\ue000"}]}}}]})")
                    .as_object();
  return input;
}

bool MentionsSpy(std::string_view source) {
  return source.find('\\') != std::string_view::npos ||
         source.find(kSpy) != std::string_view::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const RenderInput input = Input();
  static const TemplateOptions options = Options();
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto parsed = ChatTemplate::Parse(source, options);
  if (!parsed) return 0;
  const auto spans = parsed->Render(input);
  if (!spans) return 0;
  size_t bytes = 0;
  for (const Span& span : *spans) {
    bytes += span.text.size();
    CHECK(!span.text.empty());
    const bool spy = span.text.find(kSpy) != std::string_view::npos;
    CHECK(!span.trusted || !spy || MentionsSpy(source));
  }
  CHECK(bytes <= options.limits.string_bytes_max);
  return 0;
}
