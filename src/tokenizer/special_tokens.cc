// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/special_tokens.h"

#include <algorithm>

namespace aio::tokenizer {
namespace {

// isspace of the C locale.
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Phi-3 keeps the space behind these (llama.cpp, llama_vocab::impl::load).
bool KeepsSpace(std::string_view piece) {
  return piece == "<unk>" || piece == "<s>" || piece == "<|endoftext|>";
}

}  // namespace

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary, bool strip_right)
    : nodes_(1) {
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const bool special = vocabulary.IsSpecial(id);
    const std::string_view piece = vocabulary.piece(id);
    if (!special && vocabulary.type(id) != TokenType::kUserDefined) continue;
    if (piece.empty()) continue;  // it would match everywhere
    Add(piece, {id, special, strip_right && special && !KeepsSpace(piece)});
  }
}

void SpecialTokens::Add(std::string_view piece, const Node& node) {
  begins_[static_cast<uint8_t>(piece.front())] = true;
  uint32_t at = 0;
  for (char c : piece) {
    const uint64_t key = uint64_t{at} << 8 | static_cast<uint8_t>(c);
    const auto [it, added] =
        children_.emplace(key, static_cast<uint32_t>(nodes_.size()));
    if (added) nodes_.emplace_back();
    at = it->second;
  }
  if (nodes_[at].id < 0) nodes_[at] = node;  // of two equal pieces, the first
}

SpecialTokens::Match SpecialTokens::MatchAt(std::string_view text, size_t at,
                                            size_t trusted_end) const {
  Match best;
  uint32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const uint64_t key = uint64_t{node} << 8 | static_cast<uint8_t>(text[i]);
    const auto it = children_.find(key);
    if (it == children_.end()) break;
    node = it->second;
    const bool counts =
        nodes_[node].id >= 0 && (!nodes_[node].special || i < trusted_end);
    if (counts) best = {node, i + 1 - at};
  }
  return best;
}

std::vector<Fragment> SpecialTokens::Split(
    std::string_view text, std::span<const Range> trusted) const {
  std::vector<Fragment> fragments;
  size_t begin = 0;  // of the text not yet in a fragment
  size_t range = 0;  // the first trusted one that does not end before `at`
  const auto flush = [&](size_t end) {
    if (end > begin) {
      fragments.push_back({-1, text.substr(begin, end - begin)});
    }
  };
  for (size_t at = 0; at < text.size();) {
    while (range < trusted.size() && trusted[range].end <= at) ++range;
    if (!begins_[static_cast<uint8_t>(text[at])]) {
      ++at;
      continue;
    }
    const bool inside = range < trusted.size() && trusted[range].begin <= at;
    const Match match = MatchAt(text, at, inside ? trusted[range].end : 0);
    if (match.size == 0) {
      ++at;
      continue;
    }
    flush(at);
    fragments.push_back({nodes_[match.node].id, text.substr(at, match.size)});
    at += match.size;
    if (nodes_[match.node].strip_right) {
      while (at < text.size() && IsSpace(text[at])) ++at;
    }
    begin = at;
  }
  flush(text.size());
  return fragments;
}

}  // namespace aio::tokenizer
