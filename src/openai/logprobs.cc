// SPDX-License-Identifier: Apache-2.0
#include "openai/logprobs.h"

#include <algorithm>
#include <string_view>

#include "base/utf8.h"
#include "openai/json.h"
#include "openai/write.h"

namespace aio::openai {
namespace {

// What the API writes for a token that cannot occur.
constexpr float kImpossible = -9999;

void AppendHex(unsigned char c, std::string* out) {
  constexpr char kHex[] = "0123456789abcdef";
  *out += "\\x";
  out->push_back(kHex[c >> 4]);
  out->push_back(kHex[c & 15]);
}

// {"token":…,"logprob":…,"bytes":[…] without the closing brace.
void AppendToken(std::string_view bytes, float logprob, std::string* out) {
  *out += "{\"token\":";
  AppendJsonString(TokenText(bytes, true), out);
  *out += ",\"logprob\":";
  AppendJsonNumber(logprob, kImpossible, out);
  *out += ",\"bytes\":[";
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) out->push_back(',');
    *out += std::to_string(static_cast<unsigned char>(bytes[i]));
  }
  out->push_back(']');
}

}  // namespace

std::string TokenText(std::string_view bytes, bool chat) {
  if (IsValidUtf8(bytes)) return std::string(bytes);
  std::string out = chat ? "" : "bytes:";
  for (size_t i = 0; i < bytes.size();) {
    const CodePoint c = DecodeUtf8(bytes, i);
    if (chat && c.valid) {
      out += bytes.substr(i, c.size);
      i += c.size;
    } else {
      AppendHex(static_cast<unsigned char>(bytes[i]), &out);
      ++i;
    }
  }
  return out;
}

int64_t Characters(std::string_view bytes) {
  return std::count_if(bytes.begin(), bytes.end(),
                       [](char c) { return (c & 0xC0) != 0x80; });
}

void AppendChatLogprobs(const std::vector<core::TokenLogprob>& tokens,
                        std::string* out) {
  *out += "{\"content\":[";
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) out->push_back(',');
    AppendToken(tokens[i].bytes, tokens[i].logprob, out);
    *out += ",\"top_logprobs\":[";
    for (size_t j = 0; j < tokens[i].top.size(); ++j) {
      if (j > 0) out->push_back(',');
      AppendToken(tokens[i].top[j].bytes, tokens[i].top[j].logprob, out);
      out->push_back('}');
    }
    *out += "]}";
  }
  *out += "],\"refusal\":null}";
}

void AppendCompletionLogprobs(const std::vector<core::TokenLogprob>& tokens,
                              int64_t offset, std::string* out) {
  std::string names, values, tops, offsets;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const char* comma = i > 0 ? "," : "";
    names += comma;
    AppendJsonString(TokenText(tokens[i].bytes, false), &names);
    values += comma;
    AppendJsonNumber(tokens[i].logprob, kImpossible, &values);
    offsets += comma;
    offsets += std::to_string(offset);
    offset += Characters(tokens[i].bytes);
    tops += comma;
    tops.push_back('{');
    for (size_t j = 0; j < tokens[i].top.size(); ++j) {
      if (j > 0) tops.push_back(',');
      AppendJsonString(TokenText(tokens[i].top[j].bytes, false), &tops);
      tops.push_back(':');
      AppendJsonNumber(tokens[i].top[j].logprob, kImpossible, &tops);
    }
    tops.push_back('}');
  }
  *out += "{\"tokens\":[" + names + "],\"token_logprobs\":[" + values +
          "],\"top_logprobs\":[" + tops + "],\"text_offset\":[" + offsets +
          "]}";
}

}  // namespace aio::openai
