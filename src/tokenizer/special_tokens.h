// SPDX-License-Identifier: Apache-2.0
//
// Finds the tokens that are matched as whole pieces before any merging, and
// cuts a prompt at them. Control and unknown tokens count only where the whole
// piece lies in trusted text, so that no user can write one, not even by
// completing what the template began. User-defined tokens count everywhere, as
// in llama.cpp and in Hugging Face's tokenizers: they are text that the model
// has a token of its own for.
//
// Thread safety: const.
// Cost: one table look-up per byte of text, plus a walk of at most
// Vocabulary::kSpecialBytesMax steps where a piece may begin.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace aio::tokenizer {

// A token, or text without any (id = -1).
struct Fragment {
  int32_t id = -1;
  std::string_view text;
};

// Bytes [begin, end) of a prompt.
struct Range {
  size_t begin;
  size_t end;
};

class SpecialTokens {
 public:
  // `strip_right`: the white space behind a control token belongs to it.
  // llama.cpp does so for Phi-3.
  SpecialTokens(const Vocabulary& vocabulary, bool strip_right);

  // Leftmost match first, and of those the longest. `trusted` is in order,
  // without overlap; neighbours that touch should have been merged.
  std::vector<Fragment> Split(std::string_view text,
                              std::span<const Range> trusted) const;

 private:
  struct Node {
    int32_t id = -1;
    bool special = false;  // trusted text only
    bool strip_right = false;
  };
  struct Match {
    uint32_t node = 0;
    size_t size = 0;  // 0: none
  };

  void Add(std::string_view piece, const Node& node);
  Match MatchAt(std::string_view text, size_t at, size_t trusted_end) const;

  std::vector<Node> nodes_;
  std::unordered_map<uint64_t, uint32_t> children_;  // node << 8 | byte
  std::array<bool, 256> begins_{};  // whether a piece begins with this byte
};

}  // namespace aio::tokenizer
