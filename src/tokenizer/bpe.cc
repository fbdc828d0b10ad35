// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/bpe.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/utf8.h"

namespace aio::tokenizer {
namespace {

constexpr std::string_view kMergesKey = "tokenizer.ggml.merges";
constexpr size_t kMergesMax = size_t{1} << 24;
// Positions in a word are 32 bits wide.
constexpr size_t kWordBytesMax = size_t{1} << 30;

constexpr uint32_t kNone = UINT32_MAX;

// Whether a byte stands for itself: the printable ones of Latin-1.
constexpr bool IsPrintable(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
         byte >= 0xAE;
}

// The characters that stand for bytes: the other 68 are U+0100, U+0101, … in
// their order.
struct Alphabet {
  std::array<char32_t, 256> character;  // by byte
  std::array<int16_t, 324> byte;        // by character; -1: stands for none

  constexpr Alphabet() : character(), byte() {
    for (auto& b : byte) b = -1;
    char32_t next = 256;
    for (int b = 0; b < 256; ++b) {
      character[b] = IsPrintable(b) ? static_cast<char32_t>(b) : next++;
      byte[character[b]] = static_cast<int16_t>(b);
    }
  }
};
constexpr Alphabet kAlphabet;

// The bytes that a piece stands for. What is not of the alphabet (converters
// leave some added tokens as they are) stands for itself.
std::string DecodePiece(std::string_view piece) {
  std::string out;
  for (size_t at = 0; at < piece.size();) {
    const CodePoint c = DecodeUtf8(piece, at);
    if (c.valid && c.value < kAlphabet.byte.size() &&
        kAlphabet.byte[c.value] >= 0) {
      out += static_cast<char>(kAlphabet.byte[c.value]);
    } else {
      out += piece.substr(at, c.size);
    }
    at += c.size;
  }
  return out;
}

Error BadMerge(size_t i, std::string_view what) {
  return {ErrorCode::kCorrupt,
          std::string(kMergesKey) + ": merge " + std::to_string(i) + " " +
              std::string(what),
          {}};
}

}  // namespace

struct BpeTokenizer::Scratch {
  // A run of bytes of the word; a linked list in the order of the text.
  struct Symbol {
    int32_t id;
    uint32_t previous;  // kNone at the ends
    uint32_t next;
  };
  // A merge that was possible when it was found. It still is if `right`
  // follows `left` and both are the tokens they were; a symbol that was merged
  // away has id -1.
  struct Candidate {
    uint32_t rank;
    uint32_t left;
    uint32_t right;
    int32_t left_id;
    int32_t right_id;
    int32_t result;
    // For a heap whose top is the lowest rank, and of equal ranks the leftmost.
    bool operator<(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };

  std::vector<std::string_view> words;
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
};

Result<std::shared_ptr<const Tokenizer>> BpeTokenizer::Load(
    Vocabulary vocabulary, const gguf::File& file) {
  ASSIGN_OR_RETURN(const std::string name,
                   file.String("tokenizer.ggml.pre", "default"));
  ASSIGN_OR_RETURN(PreTokenizer pre_tokenizer, PreTokenizer::Create(name));
  ASSIGN_OR_RETURN(MergeTable merges, LoadMerges(vocabulary, file));
  Options options;
  ASSIGN_OR_RETURN(options.add_bos, file.Bool("tokenizer.ggml.add_bos_token",
                                              pre_tokenizer.add_bos()));
  return std::shared_ptr<const Tokenizer>(
      new BpeTokenizer(std::move(vocabulary),
                       {std::move(pre_tokenizer), std::move(merges), options}));
}

BpeTokenizer::BpeTokenizer(Vocabulary vocabulary, Parts parts)
    : VocabularyTokenizer(std::move(vocabulary), parts.options),
      pre_tokenizer_(std::move(parts.pre_tokenizer)),
      merges_(std::move(parts.merges)) {
  for (int byte = 0; byte < 256; ++byte) {
    std::string character;
    AppendUtf8(kAlphabet.character[byte], &character);
    const int32_t id = table().FindText(character);
    // DeepSeek's vocabulary lacks the bytes that UTF-8 never uses, and has
    // user-defined tokens for the letters that would stand for them ("ü").
    const bool stands = id >= 0 && table().type(id) != TokenType::kUserDefined;
    byte_ids_[byte] = stands ? id : -1;
  }
  const auto is_text = [&](int32_t id) {
    return table().type(id) == TokenType::kNormal ||
           table().type(id) == TokenType::kUnused;
  };
  for (int32_t id = 0; id < table().size(); ++id) {
    if (is_text(id)) SetBytes(id, DecodePiece(table().piece(id)));
  }
  if (!pre_tokenizer_.ignore_merges()) return;
  for (int32_t id = 0; id < table().size(); ++id) {
    if (is_text(id)) words_.emplace(Bytes(id, false), id);
  }
}

Result<MergeTable> BpeTokenizer::LoadMerges(const Vocabulary& vocabulary,
                                            const gguf::File& file) {
  const gguf::Value* value = file.Find(kMergesKey);
  const auto* array = value ? std::get_if<gguf::Array>(value) : nullptr;
  const auto* merges =
      array ? std::get_if<std::vector<std::string_view>>(&array->items)
            : nullptr;
  if (!merges || merges->size() > kMergesMax) {
    return Error{ErrorCode::kCorrupt,
                 std::string(kMergesKey) + ": no array of at most 2^24 strings",
                 {}};
  }
  MergeTable table(merges->size());
  std::string joined;
  for (size_t i = 0; i < merges->size(); ++i) {
    const std::string_view merge = (*merges)[i];
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merge.size()) {
      return BadMerge(i, "is not two pieces");
    }
    const std::string_view left = merge.substr(0, space);
    const std::string_view right = merge.substr(space + 1);
    joined.assign(left).append(right);
    const int32_t result = vocabulary.Find(joined);
    if (vocabulary.Find(left) < 0 || vocabulary.Find(right) < 0 || result < 0) {
      return BadMerge(i, "names a piece that is no token");
    }
    // Never to a control token: text must not become one.
    if (vocabulary.FindText(joined) != result) continue;
    table.Insert(vocabulary.Find(left), vocabulary.Find(right),
                 {static_cast<uint32_t>(i), result});
  }
  return table;
}

void BpeTokenizer::EncodeText(std::string_view text, bool /*after_special*/,
                              std::vector<int32_t>* ids) const {
  Scratch scratch;
  pre_tokenizer_.Split(text, &scratch.words);
  for (std::string_view word : scratch.words) {
    for (; word.size() > kWordBytesMax; word.remove_prefix(kWordBytesMax)) {
      EncodeWord(word.substr(0, kWordBytesMax), &scratch, ids);
    }
    EncodeWord(word, &scratch, ids);
  }
}

void BpeTokenizer::EncodeWord(std::string_view word, Scratch* scratch,
                              std::vector<int32_t>* ids) const {
  if (const auto it = words_.find(word); it != words_.end()) {
    ids->push_back(it->second);
    return;
  }
  const auto size = static_cast<uint32_t>(word.size());
  scratch->symbols.resize(size);
  for (uint32_t i = 0; i < size; ++i) {
    scratch->symbols[i] = {byte_ids_[static_cast<uint8_t>(word[i])],
                           i == 0 ? kNone : i - 1,
                           i + 1 == size ? kNone : i + 1};
  }
  MergeAll(scratch);
  for (uint32_t i = 0; i < size; i = scratch->symbols[i].next) {
    if (scratch->symbols[i].id >= 0) {
      ids->push_back(scratch->symbols[i].id);
    } else {  // never merged, so it is still one byte
      AppendByte(static_cast<uint8_t>(word[i]), ids);
    }
  }
}

void BpeTokenizer::MergeAll(Scratch* scratch) const {
  auto& symbols = scratch->symbols;
  auto& heap = scratch->heap;
  const auto consider = [&](uint32_t left, uint32_t right) {
    if (left == kNone || right == kNone) return;
    const int32_t left_id = symbols[left].id, right_id = symbols[right].id;
    const Merge* merge = merges_.Find(left_id, right_id);
    if (!merge) return;
    heap.push_back(
        {merge->rank, left, right, left_id, right_id, merge->result});
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
    if (left.id != c.left_id || right.id != c.right_id ||
        left.next != c.right) {
      continue;
    }
    left.id = c.result;
    left.next = right.next;
    if (right.next != kNone) symbols[right.next].previous = c.left;
    right.id = -1;
    consider(left.previous, c.left);
    consider(c.left, left.next);
  }
}

void BpeTokenizer::AppendByte(uint8_t byte, std::vector<int32_t>* ids) const {
  // A byte without a token. The vocabularies that lack some lack those that
  // are never part of UTF-8, so U+FFFD stands for it, as anywhere.
  for (uint8_t b : {0xEF, 0xBF, 0xBD}) {
    if (byte_ids_[b] < 0 || byte < 0x80) {
      if (table().unknown() >= 0) ids->push_back(table().unknown());
      return;
    }
    ids->push_back(byte_ids_[b]);
  }
}

}  // namespace aio::tokenizer
