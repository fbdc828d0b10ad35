// SPDX-License-Identifier: Apache-2.0
#include "openai/answer.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <limits>
#include <utility>

#include "openai/error.h"
#include "openai/json.h"

namespace aio::openai {
namespace {

namespace json = boost::json;
using core::Delta;
using core::TokenLogprob;

Error Corrupt(std::string_view what) {
  return Error{ErrorCode::kCorrupt,
               "the upstream's answer: " + std::string(what), ""};
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Undoes "bytes:\xe2\x82", the API's name for a token that is no whole text.
std::string TokenBytes(std::string_view token) {
  constexpr std::string_view kPrefix = "bytes:";
  if (!token.starts_with(kPrefix)) return std::string(token);
  const std::string_view hex = token.substr(kPrefix.size());
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 4) {
    if (i + 4 > hex.size() || hex[i] != '\\' || hex[i + 1] != 'x') {
      return std::string(token);
    }
    const int high = HexDigit(hex[i + 2]);
    const int low = HexDigit(hex[i + 3]);
    if (high < 0 || low < 0) return std::string(token);
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return bytes;
}

float LogprobOf(const json::value* value) {
  if (value == nullptr) return -std::numeric_limits<float>::infinity();
  return static_cast<float>(
      AsNumber(*value).value_or(-std::numeric_limits<double>::infinity()));
}

// The exact bytes if they are given, else the token's text.
std::string BytesOf(const json::object& token) {
  const json::value* list = Find(token, "bytes");
  if (list == nullptr || !list->is_array()) {
    return TokenBytes(StringAt(token, "token"));
  }
  std::string bytes;
  for (const json::value& value : list->get_array()) {
    const auto byte = AsInteger(value);
    if (!byte || *byte < 0 || *byte > 255) {
      return TokenBytes(StringAt(token, "token"));
    }
    bytes.push_back(static_cast<char>(*byte));
  }
  return bytes;
}

// Chat: {content: [{token, logprob, bytes, top_logprobs: [...]}]}.
void ReadChatLogprobs(const json::array& content, Delta* delta) {
  for (const json::value& value : content) {
    const json::object* token = value.if_object();
    if (token == nullptr) continue;
    TokenLogprob read;
    read.bytes = BytesOf(*token);
    read.logprob = LogprobOf(Find(*token, "logprob"));
    const json::value* top = Find(*token, "top_logprobs");
    if (top != nullptr && top->is_array()) {
      for (const json::value& other : top->get_array()) {
        const json::object* o = other.if_object();
        if (o == nullptr) continue;
        read.top.push_back({0, BytesOf(*o), LogprobOf(Find(*o, "logprob"))});
      }
    }
    delta->logprobs.push_back(std::move(read));
  }
}

// Completions: {tokens: [...], token_logprobs: [...], top_logprobs: [{...}]}.
void ReadCompletionLogprobs(const json::object& logprobs, Delta* delta) {
  const json::value* tokens = Find(logprobs, "tokens");
  if (tokens == nullptr || !tokens->is_array()) return;
  const auto at = [&](std::string_view key, size_t i) -> const json::value* {
    const json::value* list = Find(logprobs, key);
    if (list == nullptr || !list->is_array()) return nullptr;
    return list->get_array().if_contains(i);
  };
  for (size_t i = 0; i < tokens->get_array().size(); ++i) {
    TokenLogprob read;
    read.bytes = TokenBytes(
        AsString(tokens->get_array()[i]).value_or(std::string_view()));
    read.logprob = LogprobOf(at("token_logprobs", i));
    const json::value* top = at("top_logprobs", i);
    if (top != nullptr && top->is_object()) {
      for (const auto& [token, value] : top->get_object()) {
        read.top.push_back(
            {0, TokenBytes({token.data(), token.size()}), LogprobOf(&value)});
      }
    }
    delta->logprobs.push_back(std::move(read));
  }
}

void ReadLogprobs(const json::object& choice, Delta* delta) {
  const json::value* value = Find(choice, "logprobs");
  if (value == nullptr || !value->is_object()) return;
  const json::object& logprobs = value->get_object();
  const json::value* content = Find(logprobs, "content");
  if (content != nullptr && content->is_array()) {
    ReadChatLogprobs(content->get_array(), delta);
  } else {
    ReadCompletionLogprobs(logprobs, delta);
  }
}

// The text of a choice of any of the four shapes.
Result<void> ReadText(const json::object& choice, Delta* delta) {
  const json::value* inner = Find(choice, "delta");
  if (inner == nullptr) inner = Find(choice, "message");
  if (inner == nullptr) {
    delta->text = StringAt(choice, "text");
    return {};
  }
  const json::object* message = inner->if_object();
  if (message == nullptr) return Corrupt("a message is no object");
  delta->text = StringAt(*message, "content");
  delta->reasoning = StringAt(*message, "reasoning_content");
  if (delta->reasoning.empty()) {
    delta->reasoning = StringAt(*message, "reasoning");  // vLLM from 0.11
  }
  const json::value* calls = Find(*message, "tool_calls");
  if (calls != nullptr && calls->is_array() && !calls->get_array().empty()) {
    delta->tool_calls = json::serialize(*calls);
  }
  return {};
}

// Reasons we have no word for (content_filter, tool_calls) count as a stop; the
// client sees the upstream's own word through raw_json.
core::FinishReason ReasonNamed(std::string_view name) {
  return name == "length" ? core::FinishReason::kLength
                          : core::FinishReason::kStop;
}

Result<void> ReadChoice(const json::value& value, int choices, Answer* answer) {
  const json::object* choice = value.if_object();
  if (choice == nullptr) return Corrupt("a choice is no object");
  const json::value* index = Find(*choice, "index");
  const int64_t i = index == nullptr ? 0 : AsInteger(*index).value_or(-1);
  if (i < 0 || i >= choices) return Corrupt("no such choice was asked for");
  Delta delta;
  delta.choice = static_cast<int>(i);
  RETURN_IF_ERROR(ReadText(*choice, &delta));
  ReadLogprobs(*choice, &delta);
  answer->deltas.push_back(std::move(delta));
  const std::string_view reason = StringAt(*choice, "finish_reason");
  if (!reason.empty()) {
    answer->finished.push_back({static_cast<int>(i), ReasonNamed(reason)});
  }
  return {};
}

int CountAt(const json::object& object, std::string_view key) {
  const json::value* value = Find(object, key);
  const int64_t count = value == nullptr ? 0 : AsInteger(*value).value_or(0);
  return static_cast<int>(
      std::clamp<int64_t>(count, 0, std::numeric_limits<int>::max()));
}

std::optional<core::Usage> ReadUsage(const json::object& body) {
  const json::value* value = Find(body, "usage");
  if (value == nullptr || !value->is_object()) return std::nullopt;
  const json::object& object = value->get_object();
  core::Usage usage;
  usage.prompt_tokens = CountAt(object, "prompt_tokens");
  usage.completion_tokens = CountAt(object, "completion_tokens");
  const json::value* details = Find(object, "prompt_tokens_details");
  if (details != nullptr && details->is_object()) {
    usage.cached_tokens = CountAt(details->get_object(), "cached_tokens");
  }
  details = Find(object, "completion_tokens_details");
  if (details != nullptr && details->is_object()) {
    const json::object& d = details->get_object();
    usage.accepted_tokens = CountAt(d, "accepted_prediction_tokens");
    // Both may be as large as an int; so may not their sum.
    usage.drafted_tokens = std::max(
        usage.accepted_tokens, static_cast<int>(std::min<int64_t>(
                                   int64_t{usage.accepted_tokens} +
                                       CountAt(d, "rejected_prediction_tokens"),
                                   std::numeric_limits<int>::max())));
  }
  return usage;
}

// Gives each delta the message as received, with its own choice alone.
void KeepRaw(std::string_view message, json::object body, Answer* answer) {
  if (answer->deltas.size() == 1) {
    answer->deltas[0].raw_json = message;
    return;
  }
  const json::array choices = std::move(body["choices"].get_array());
  for (size_t i = 0; i < answer->deltas.size(); ++i) {
    body["choices"] = json::array{choices[i]};
    answer->deltas[i].raw_json = json::serialize(body);
  }
}

// A JSON object that is no error.
Result<json::value> ParseBody(std::string_view message) {
  auto parsed = ParseJson(message);
  if (!parsed) return Corrupt(parsed.error().message);
  const json::object* body = parsed->if_object();
  if (body == nullptr) return Corrupt("no JSON object");
  const json::value* error = Find(*body, "error");
  if (error == nullptr) return *std::move(parsed);
  // Inside a stream the status is long sent; the error may name its own.
  int status = 500;
  if (const json::object* o = error->if_object()) {
    const int code = CountAt(*o, "code");
    if (code >= 400 && code < 600) status = code;
  }
  return ParseError(status, message);
}

}  // namespace

Result<core::Usage> ParseEmbeddings(std::string_view message) {
  ASSIGN_OR_RETURN(const json::value parsed, ParseBody(message));
  const json::object& body = parsed.get_object();
  const json::value* data = Find(body, "data");
  if (data == nullptr || !data->is_array()) return Corrupt("no embeddings");
  return ReadUsage(body).value_or(core::Usage());
}

Result<Answer> ParseAnswer(std::string_view message, int choices) {
  ASSIGN_OR_RETURN(json::value parsed, ParseBody(message));
  json::object& body = parsed.get_object();
  Answer answer;
  answer.usage = ReadUsage(body);
  answer.fingerprint = StringAt(body, "system_fingerprint");
  const json::value* list = Find(body, "choices");
  if (list == nullptr) {
    if (answer.usage) return answer;
    return Corrupt("neither choices nor usage");
  }
  if (!list->is_array()) return Corrupt("choices is no array");
  for (const json::value& choice : list->get_array()) {
    RETURN_IF_ERROR(ReadChoice(choice, choices, &answer));
  }
  if (list->get_array().empty() && !answer.usage) {
    answer.deltas.emplace_back().raw_json = message;
    return answer;
  }
  KeepRaw(message, std::move(body), &answer);
  return answer;
}

}  // namespace aio::openai
