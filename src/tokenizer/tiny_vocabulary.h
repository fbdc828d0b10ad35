// SPDX-License-Identifier: Apache-2.0
//
// Two vocabularies small enough to read, as tables that a test may spoil before
// it loads them. Used by tests and by the fuzzer.
//
// BPE: ids 0 to 255 are the bytes, in order; then the pieces in kMerged, each
// of which the merges reach; then the special ones. SentencePiece: "<unk>",
// "<s>",
// "</s>", the 256 bytes, then the rest.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "gguf/gguf.h"
#include "gguf/writer.h"
#include "tokenizer/tokenizer.h"

namespace aio::tokenizer {

struct Tables {
  std::string model;
  std::string pre;
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<float> scores;        // none: no such key
  std::vector<std::string> merges;  // none: no such key
  std::vector<std::pair<std::string, gguf::Item>> more;

  void Add(std::string token, int32_t type, float score = 0) {
    tokens.push_back(std::move(token));
    types.push_back(type);
    if (model == "llama") scores.push_back(score);
  }
  void Merge(const std::string& left, const std::string& right) {
    merges.push_back(left + " " + right);
    Add(left + right, 1);
  }
};

// The character that stands for a byte in the pieces of byte-level BPE.
inline std::string ByteCharacter(int byte) {
  int other = 0;  // how many bytes below this one are not printable
  const auto printable = [](int b) {
    return (b > 0x20 && b < 0x7F) || (b > 0xA0 && b != 0xAD);
  };
  for (int b = 0; b < byte; ++b) other += printable(b) ? 0 : 1;
  std::string out;
  AppendUtf8(static_cast<char32_t>(printable(byte) ? byte : 256 + other), &out);
  return out;
}

inline Tables TinyBpe() {
  Tables t{"gpt2", "gpt-2", {}, {}, {}, {}, {}};
  for (int byte = 0; byte < 256; ++byte) t.Add(ByteCharacter(byte), 1);
  t.Merge("l", "l");            // 256
  t.Merge("h", "e");            // 257
  t.Merge("he", "ll");          // 258
  t.Merge("hell", "o");         // 259
  t.Merge("\u0120", "w");       // 260, " w"
  t.Merge("o", "r");            // 261
  t.Merge("a", "a");            // 262
  t.Merge("aa", "aa");          // 263
  t.Merge("\u00C3", "\u00BC");  // 264, "ü" of two bytes
  t.Add("xyz", 1);              // 265, a word that no merge reaches
  t.Add("<|im_start|>", 3);     // 266
  t.Add("<|im_end|>", 3);       // 267
  t.Add("<|im_end|>!", 3);      // 268
  t.Add("<tool>", 4);           // 269
  t.Add("<|user|>", 4);         // 270, an older converter's role marker
  t.more = {{"tokenizer.ggml.bos_token_id", uint32_t{266}},
            {"tokenizer.ggml.eos_token_id", uint32_t{268}}};
  return t;
}

inline Tables TinySpm() {
  Tables t{"llama", "", {}, {}, {}, {}, {}};
  t.Add("<unk>", 2);
  t.Add("<s>", 3);
  t.Add("</s>", 3);
  constexpr char kHex[] = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte) {
    t.Add({'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'}, 6);
  }
  t.Add("\u2581", 1, -1000);     // 259
  t.Add("h", 1, -1001);          // 260
  t.Add("e", 1, -1002);          // 261
  t.Add("l", 1, -1003);          // 262
  t.Add("o", 1, -1004);          // 263
  t.Add("he", 1, -5);            // 264
  t.Add("ll", 1, -3);            // 265
  t.Add("el", 1, -4);            // 266
  t.Add("hell", 1, -6);          // 267
  t.Add("hello", 1, -7);         // 268
  t.Add("\u2581hello", 1, -8);   // 269
  t.Add("\u2581h", 1, -9);       // 270
  t.Add("\u2581\u2581", 1, -2);  // 271
  t.Add("<s", 1, -1);            // 272, on the way to "<s>"
  t.Add("<", 1, -1005);          // 273
  t.Add("s", 1, -1006);          // 274
  t.Add(">", 1, -1007);          // 275
  t.Add("  tab", 4);             // 276
  t.Add("[unused9]", 4);         // 277
  return t;
}

inline Result<std::vector<std::byte>> Serialize(const Tables& t) {
  gguf::Writer writer;
  writer.Add("tokenizer.ggml.model", t.model);
  if (!t.pre.empty()) writer.Add("tokenizer.ggml.pre", t.pre);
  writer.Add("tokenizer.ggml.tokens", t.tokens);
  writer.Add("tokenizer.ggml.token_type", t.types);
  if (!t.scores.empty()) writer.Add("tokenizer.ggml.scores", t.scores);
  if (!t.merges.empty()) writer.Add("tokenizer.ggml.merges", t.merges);
  for (const auto& [key, value] : t.more) writer.Add(key, value);
  return writer.Serialize();
}

inline Result<std::shared_ptr<const Tokenizer>> Load(const Tables& t) {
  ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, Serialize(t));
  ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Parse(bytes));
  return Tokenizer::Load(file);
}

}  // namespace aio::tokenizer
