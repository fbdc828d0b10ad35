// SPDX-License-Identifier: Apache-2.0
//
// Renders chat templates for witness.py: one JSON request a line on standard
// input, one JSON answer a line on standard output.
//
// request: {"template", "bos_token", "eos_token", "now": seconds since 1970,
// "probe": bool,
//           "context": {variables, "messages" among them}}
// answer:  {"spans": [[text, trusted], …]} or
//          {"error": text, "code": text, "stage": "parse" | "render"}
#include <boost/json.hpp>
#include <chrono>
#include <iostream>
#include <string>

#include "tokenizer/chat_template.h"

namespace aio::tokenizer {
namespace {

namespace json = boost::json;

json::object Failure(const Error& error, std::string_view stage) {
  return {{"error", error.message},
          {"code", CodeName(error.code)},
          {"stage", stage}};
}

std::string Text(const json::object& request, std::string_view key) {
  return std::string(request.at(key).as_string());
}

json::object Answer(const json::object& request) {
  TemplateOptions options;
  options.bos = Text(request, "bos_token");
  options.eos = Text(request, "eos_token");
  options.probe = request.at("probe").as_bool();
  const Result<ChatTemplate> parsed =
      ChatTemplate::Parse(Text(request, "template"), options);
  if (!parsed) return Failure(parsed.error(), "parse");
  RenderInput input;
  input.now = std::chrono::local_seconds(
      std::chrono::seconds(request.at("now").as_int64()));
  input.extra = request.at("context").as_object();
  const Result<Spans> spans = parsed->Render(input);
  if (!spans) return Failure(spans.error(), "render");
  json::array pieces;
  for (const Span& span : *spans) {
    pieces.push_back(json::array{span.text, span.trusted});
  }
  return {{"spans", std::move(pieces)}};
}

}  // namespace
}  // namespace aio::tokenizer

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    const auto request = boost::json::parse(line).as_object();
    std::cout << boost::json::serialize(aio::tokenizer::Answer(request))
              << "\n";
  }
  return 0;
}
