// SPDX-License-Identifier: Apache-2.0
//
// The token table of a model file: pieces, types, scores, and the ids with a
// meaning of their own (begin, end, unknown). Owns its bytes, so the file may
// be closed.
//
// Thread safety: const after Load.
// Invariants: 0 < size() <= kTokensMax; a piece may be empty or occur twice
// (the lowest id then stands for it); bos, eos and unknown are -1 or valid ids.
// Source of the keys: ggml-org/ggml, docs/gguf.md, section "GGML".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "gguf/gguf.h"

namespace aio::tokenizer {

// The numbers are those of tokenizer.ggml.token_type.
enum class TokenType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

class Vocabulary {
 public:
  // The largest vocabulary in use has 262,144 tokens.
  static constexpr size_t kTokensMax = size_t{1} << 22;
  // Bounds the work per byte of text when special tokens are looked for; the
  // longest one seen in a real file has 30 bytes.
  static constexpr size_t kSpecialBytesMax = 512;

  // kCorrupt naming the key whose table is missing, has another length than the
  // tokens, or holds an impossible value.
  static Result<Vocabulary> Load(const gguf::File& file);

  int32_t size() const { return static_cast<int32_t>(types_.size()); }
  bool Contains(int32_t id) const { return id >= 0 && id < size(); }

  // REQUIRES: Contains(id), for the four below.
  std::string_view piece(int32_t id) const;
  TokenType type(int32_t id) const { return types_[id]; }
  float score(int32_t id) const { return scores_.empty() ? 0 : scores_[id]; }
  // Control and unknown tokens: parsed only where the template wrote them, and
  // shown to nobody.
  bool IsSpecial(int32_t id) const;

  bool has_scores() const { return !scores_.empty(); }
  // The lowest id with exactly this piece; -1 if none.
  int32_t Find(std::string_view piece) const;
  // The same, but only what merging characters may yield: no control, unknown
  // or byte token, whatever the text says.
  int32_t FindText(std::string_view piece) const;

  int32_t bos() const { return bos_; }
  int32_t eos() const { return eos_; }
  int32_t unknown() const { return unknown_; }
  bool IsEnd(int32_t id) const { return Contains(id) && ends_[id]; }

 private:
  Vocabulary() = default;
  Result<void> LoadPieces(const gguf::File& file);
  Result<void> LoadTypes(const gguf::File& file);
  Result<void> LoadScores(const gguf::File& file);
  Result<void> LoadIds(const gguf::File& file);
  void MarkControl();
  void BuildIndex();

  std::vector<char> bytes_;       // all pieces, end to end
  std::vector<uint32_t> begins_;  // [size + 1], offsets into bytes_
  std::vector<TokenType> types_;  // [size]
  std::vector<float> scores_;     // [size], or empty
  std::vector<bool> ends_;        // [size]
  std::unordered_map<std::string_view, int32_t> index_;  // keys in bytes_
  std::unordered_map<std::string_view, int32_t> text_index_;
  int32_t bos_ = -1, eos_ = -1, unknown_ = -1;
};

}  // namespace aio::tokenizer
