// SPDX-License-Identifier: Apache-2.0
#include "cli/recorded_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <fstream>
#include <map>
#include <utility>

namespace aio::cli {
namespace {

namespace json = boost::json;

constexpr size_t kOutputLeast = 8;  // tokens; shorter ones say nothing

// The fields of one line; an error says what is wrong with it.
Result<std::map<std::string, std::string>> FieldsOf(const std::string& line) {
  boost::system::error_code error;
  const json::value value = json::parse(line, error);
  const auto* object = error ? nullptr : value.if_object();
  if (object == nullptr) {
    return Error{ErrorCode::kInvalidArgument, "no JSON object", ""};
  }
  std::map<std::string, std::string> fields;
  for (const char* key : {"kind", "prompt", "output"}) {
    const json::value* field = object->if_contains(key);
    if (field == nullptr || !field->is_string()) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("no string '{}'", key), ""};
    }
    fields[key] = std::string(field->get_string());
  }
  return fields;
}

}  // namespace

Result<std::vector<RecordedText>> ReadRecordedTexts(
    const std::string& path, const tokenizer::Tokenizer& tokenizer,
    const RecordedTextOptions& options) {
  std::ifstream file(path);
  if (!file) {
    return Error{ErrorCode::kNotFound, "cannot read " + path, options.field};
  }
  std::vector<RecordedText> out;
  std::string line;
  for (int at = 1; std::getline(file, line); ++at) {
    auto fields = FieldsOf(line);
    if (!fields) {
      return Error{fields.error().code,
                   fmt::format("{}:{}: {}", path, at, fields.error().message),
                   options.field};
    }
    RecordedText text;
    text.kind = (*fields)["kind"];
    if (tokenizer.bos() >= 0) text.prompt.push_back(tokenizer.bos());
    const auto prompt = tokenizer.Encode((*fields)["prompt"]);
    text.prompt.insert(text.prompt.end(), prompt.begin(), prompt.end());
    text.output = tokenizer.Encode((*fields)["output"]);
    text.output.resize(
        std::min(text.output.size(), static_cast<size_t>(options.output_max)));
    const size_t all = text.prompt.size() + text.output.size();
    if (text.output.size() < kOutputLeast || text.prompt.empty() ||
        all > static_cast<size_t>(options.context_max)) {
      continue;
    }
    out.push_back(std::move(text));
  }
  if (!out.empty()) return out;
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("{} has no text of {} tokens or more that fits {} "
                           "tokens of context",
                           path, kOutputLeast, options.context_max),
               options.field};
}

}  // namespace aio::cli
