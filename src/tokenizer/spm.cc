// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/spm.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/utf8.h"

namespace aio::tokenizer {
namespace {

constexpr std::string_view kSpace = "\u2581";
constexpr uint32_t kNone = UINT32_MAX;
// Positions in a text are 32 bits wide.
constexpr size_t kTextBytesMax = size_t{1} << 30;

std::string EscapeSpaces(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  for (char c : text) {
    if (c == ' ') {
      out += kSpace;
    } else {
      out += c;
    }
  }
  return out;
}

std::string UnescapeSpaces(std::string_view piece) {
  std::string out;
  for (size_t at = 0; at < piece.size();) {
    if (piece.substr(at).starts_with(kSpace)) {
      out += ' ';
      at += kSpace.size();
    } else {
      out += piece[at++];
    }
  }
  return out;
}

constexpr std::string_view kHex = "0123456789ABCDEF";

std::string BytePiece(int byte) {
  return {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
}

// The inverse; -1 for what is no such piece.
int ByteOf(std::string_view piece) {
  if (piece.size() != 6) return -1;
  const size_t high = kHex.find(piece[3]), low = kHex.find(piece[4]);
  if (high == kHex.npos || low == kHex.npos) return -1;
  const int byte = static_cast<int>(high * 16 + low);
  return piece == BytePiece(byte) ? byte : -1;
}

// Where the word that begins at `at` ends: in front of the next "▁" that
// follows another character.
size_t WordEnd(std::string_view text, size_t at) {
  while (text.substr(at).starts_with(kSpace)) at += kSpace.size();
  return std::min(text.find(kSpace, at), text.size());
}

}  // namespace

struct SpmTokenizer::Scratch {
  // A run of characters; a linked list in the order of the text. Size 0: merged
  // into the one before.
  struct Symbol {
    uint32_t begin;
    uint32_t size;
    uint32_t previous;  // kNone at the ends
    uint32_t next;
  };
  // A merge that was possible when it was found. Symbols only grow or vanish,
  // so it still is if neither has vanished and the sizes add up.
  struct Candidate {
    float score;
    uint32_t left;
    uint32_t right;
    uint32_t size;
    // For a heap whose top has the highest score, and of those the leftmost.
    bool operator<(const Candidate& other) const {
      return score != other.score ? score < other.score : left > other.left;
    }
  };

  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
};

Result<std::shared_ptr<const Tokenizer>> SpmTokenizer::Load(
    Vocabulary vocabulary, const gguf::File& file) {
  if (!vocabulary.has_scores()) {
    return Error{ErrorCode::kCorrupt,
                 "tokenizer.ggml.scores: a SentencePiece vocabulary needs them",
                 {}};
  }
  Options options;
  ASSIGN_OR_RETURN(options.add_bos,
                   file.Bool("tokenizer.ggml.add_bos_token", true));
  ASSIGN_OR_RETURN(const bool adds_space_prefix,
                   file.Bool("tokenizer.ggml.add_space_prefix", true));
  ASSIGN_OR_RETURN(std::string name, file.String("general.name", ""));
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  }
  options.strip_right = name.find("phi-3") != std::string::npos ||
                        name.find("phi3") != std::string::npos;
  return std::shared_ptr<const Tokenizer>(
      new SpmTokenizer(std::move(vocabulary), options, adds_space_prefix));
}

SpmTokenizer::SpmTokenizer(Vocabulary vocabulary, const Options& options,
                           bool adds_space_prefix)
    : VocabularyTokenizer(std::move(vocabulary), options),
      adds_space_prefix_(adds_space_prefix) {
  LearnBytes();
  LearnPieces();
}

void SpmTokenizer::LearnBytes() {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string piece = BytePiece(byte);
    int32_t id = table().Find(piece);
    if (id >= 0 && table().IsSpecial(id)) id = -1;
    // Some vocabularies have single bytes as plain pieces instead.
    if (id < 0) id = table().FindText(std::string(1, static_cast<char>(byte)));
    byte_ids_[byte] = id;
  }
}

void SpmTokenizer::LearnPieces() {
  for (int32_t id = 0; id < table().size(); ++id) {
    const std::string_view piece = table().piece(id);
    const TokenType type = table().type(id);
    if (type == TokenType::kByte) {
      // One that names no byte decodes as it stands.
      const int byte = ByteOf(piece);
      if (byte >= 0) SetBytes(id, std::string(1, static_cast<char>(byte)));
      continue;
    }
    if (table().IsSpecial(id)) continue;
    if (type != TokenType::kUserDefined) {
      SetBytes(id, UnescapeSpaces(piece));
    }
    piece_bytes_max_ = std::max(piece_bytes_max_, piece.size());
    if (WordEnd(piece, 0) != piece.size()) words_are_independent_ = false;
  }
}

void SpmTokenizer::EncodeText(std::string_view text, bool after_special,
                              std::vector<int32_t>* ids) const {
  const bool prefix = adds_space_prefix_ && after_special;
  const std::string escaped =
      (prefix ? std::string(kSpace) : std::string()) + EscapeSpaces(text);
  Scratch scratch;
  for (size_t at = 0; at < escaped.size();) {
    size_t end = words_are_independent_ ? WordEnd(escaped, at) : escaped.size();
    end = std::min(end, at + kTextBytesMax);
    EncodeWord(std::string_view(escaped).substr(at, end - at), &scratch, ids);
    at = end;
  }
}

void SpmTokenizer::EncodeWord(std::string_view text, Scratch* scratch,
                              std::vector<int32_t>* ids) const {
  auto& symbols = scratch->symbols;
  symbols.clear();
  for (size_t at = 0; at < text.size();) {
    const uint32_t size = DecodeUtf8(text, at).size;
    const auto index = static_cast<uint32_t>(symbols.size());
    symbols.push_back({static_cast<uint32_t>(at), size,
                       index == 0 ? kNone : index - 1,
                       at + size == text.size() ? kNone : index + 1});
    at += size;
  }
  MergeAll(text, scratch);
  for (uint32_t i = 0; i != kNone; i = symbols[i].next) {
    AppendSymbol(text.substr(symbols[i].begin, symbols[i].size), ids);
  }
}

void SpmTokenizer::MergeAll(std::string_view text, Scratch* scratch) const {
  auto& symbols = scratch->symbols;
  auto& heap = scratch->heap;
  const auto consider = [&](uint32_t left, uint32_t right) {
    if (left == kNone || right == kNone) return;
    const uint32_t size = symbols[left].size + symbols[right].size;
    if (size > piece_bytes_max_) return;
    const int32_t id = table().FindText(text.substr(symbols[left].begin, size));
    if (id < 0) return;
    heap.push_back({table().score(id), left, right, size});
    std::push_heap(heap.begin(), heap.end());
  };
  heap.clear();
  for (uint32_t i = 1; i < symbols.size(); ++i) consider(i - 1, i);
  while (!heap.empty()) {
    const Scratch::Candidate c = heap.front();
    std::pop_heap(heap.begin(), heap.end());
    heap.pop_back();
    auto& left = symbols[c.left];
    auto& right = symbols[c.right];
    if (left.size == 0 || right.size == 0 || left.size + right.size != c.size) {
      continue;
    }
    left.size = c.size;
    left.next = right.next;
    if (right.next != kNone) symbols[right.next].previous = c.left;
    right.size = 0;
    consider(left.previous, c.left);
    consider(c.left, left.next);
  }
}

void SpmTokenizer::AppendSymbol(std::string_view symbol,
                                std::vector<int32_t>* ids) const {
  if (const int32_t id = table().FindText(symbol); id >= 0) {
    ids->push_back(id);
    return;
  }
  const bool bytes = std::all_of(symbol.begin(), symbol.end(), [&](char c) {
    return byte_ids_[static_cast<uint8_t>(c)] >= 0;
  });
  if (bytes) {
    for (char c : symbol) ids->push_back(byte_ids_[static_cast<uint8_t>(c)]);
  } else if (table().unknown() >= 0) {
    ids->push_back(table().unknown());
  }
}

}  // namespace aio::tokenizer
