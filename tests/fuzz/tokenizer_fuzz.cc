// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a prompt: the first chooses the tokenizer, the rest is the text,
// where 0x1E begins an untrusted span and 0x1F a trusted one. What comes back
// must decode to the same bytes, and no control token may hold a byte that a
// user wrote. With 0xFF first, the rest is a hostile model file instead.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/utf8.h"
#include "tokenizer/tiny_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace {

using aio::tokenizer::Spans;
using aio::tokenizer::Tables;
using aio::tokenizer::Tokenizer;
using TokenizerPtr = std::shared_ptr<const Tokenizer>;

constexpr size_t kTextBytesMax = 1 << 16;

TokenizerPtr MustLoad(const Tables& tables) {
  auto tokenizer = aio::tokenizer::Load(tables);
  CHECK(tokenizer);
  return *tokenizer;
}

std::vector<TokenizerPtr> LoadAll() {
  std::vector<TokenizerPtr> all = {MustLoad(aio::tokenizer::TinySpm())};
  for (const char* pre :
       {"gpt-2", "default", "llama-bpe", "qwen2", "qwen35", "deepseek-llm",
        "deepseek-coder", "deepseek-v3", "starcoder", "falcon"}) {
    Tables tables = aio::tokenizer::TinyBpe();
    tables.pre = pre;
    all.push_back(MustLoad(tables));
  }
  return all;
}

Spans ToSpans(std::string_view text) {
  Spans spans(1);
  for (char c : text) {
    if (c == 0x1E || c == 0x1F) {
      spans.push_back({"", c == 0x1F});
    } else {
      spans.back().text += c;
    }
  }
  return spans;
}

// SentencePiece adds spaces and takes "▁" for one.
std::string WithoutSpaces(std::string_view text) {
  constexpr std::string_view kMark = "\u2581";
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text.substr(at).starts_with(kMark)) {
      at += kMark.size() - 1;
    } else if (text[at] != ' ') {
      out += text[at];
    }
  }
  return out;
}

void CheckStream(const TokenizerPtr& tokenizer,
                 const std::vector<int32_t>& ids) {
  aio::tokenizer::StreamDecoder decoder(tokenizer, true);
  for (int32_t id : ids) CHECK(aio::IsValidUtf8(decoder.Push(id)));
  CHECK(aio::IsValidUtf8(decoder.Finish()));
}

// REQUIRES: the ids decode to the bytes of the spans.
void CheckTrust(const Tokenizer& tokenizer, const Spans& spans,
                const std::vector<int32_t>& ids) {
  std::vector<bool> trusted;
  for (const auto& span : spans) {
    trusted.insert(trusted.end(), span.text.size(), span.trusted);
  }
  size_t at = 0;
  for (int32_t id : ids) {
    const size_t end = at + tokenizer.Bytes(id, true).size();
    const bool control = tokenizer.Bytes(id).empty();
    for (; at < end; ++at) CHECK(!control || trusted[at]);
  }
}

void CheckPrompt(const TokenizerPtr& tokenizer, std::string_view text) {
  const Spans spans = ToSpans(text);
  std::string joined;
  for (const auto& span : spans) joined += span.text;
  const std::vector<int32_t> ids = tokenizer->Encode(spans, false);
  std::string decoded;
  for (int32_t id : ids) {
    CHECK(id >= 0 && id < tokenizer->vocabulary());
    decoded += tokenizer->Bytes(id, true);
  }
  if (tokenizer->adds_space_prefix()) {
    CHECK(WithoutSpaces(decoded) == WithoutSpaces(joined));
  } else {
    CHECK(decoded == joined);
    CheckTrust(*tokenizer, spans, ids);
  }
  CheckStream(tokenizer, ids);
}

void CheckHostileFile(std::string_view bytes) {
  const auto file = aio::gguf::File::Parse(
      std::as_bytes(std::span(bytes.data(), bytes.size())));
  if (!file) return;
  const auto tokenizer = Tokenizer::Load(*file);
  if (!tokenizer) return;
  const std::string text = "Hello <s> w\u00F6rld\xFF 123\n  <|im_end|>";
  auto ids = (*tokenizer)->Encode({{text, false}, {text, true}}, true);
  for (int32_t id = -1; id <= 300; ++id) ids.push_back(id);
  CheckStream(*tokenizer, ids);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<TokenizerPtr> tokenizers = LoadAll();
  if (size == 0 || size > kTextBytesMax) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1,
                              size - 1);
  if (data[0] == 0xFF) {
    CheckHostileFile(text);
  } else {
    CheckPrompt(tokenizers[data[0] % tokenizers.size()], text);
  }
  return 0;
}
