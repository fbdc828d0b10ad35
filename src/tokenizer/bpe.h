// SPDX-License-Identifier: Apache-2.0
//
// Byte-level byte-pair encoding, as GPT-2 and its heirs use it: text is cut
// into words, each word starts as its bytes, and the pair with the lowest rank
// merges until none is left. Every byte has a printable character that stands
// for it in pieces ("Ġ" is the space).
//
// Thread safety: const.
// Cost: O(n log n) in the bytes of the longest word, for any input.
// Source: openai/gpt-2, src/encoder.py.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/vocabulary_tokenizer.h"

namespace aio::tokenizer {

class BpeTokenizer final : public VocabularyTokenizer {
 public:
  // kUnsupported for an unknown pre-tokenizer; kCorrupt for merges that name
  // pieces which are no tokens.
  static Result<std::shared_ptr<const Tokenizer>> Load(Vocabulary vocabulary,
                                                       const gguf::File& file);

 protected:
  void EncodeText(std::string_view text, bool after_special,
                  std::vector<int32_t>* ids) const override;

 private:
  struct Parts {
    PreTokenizer pre_tokenizer;
    MergeTable merges;
    Options options;
  };
  struct Scratch;  // the buffers of one call of EncodeText

  BpeTokenizer(Vocabulary vocabulary, Parts parts);
  static Result<MergeTable> LoadMerges(const Vocabulary& vocabulary,
                                       const gguf::File& file);
  void EncodeWord(std::string_view word, Scratch* scratch,
                  std::vector<int32_t>* ids) const;
  void MergeAll(Scratch* scratch) const;
  void AppendByte(uint8_t byte, std::vector<int32_t>* ids) const;

  PreTokenizer pre_tokenizer_;
  MergeTable merges_;
  std::array<int32_t, 256> byte_ids_;  // -1: the vocabulary lacks this byte
  // From the bytes of a word to its token; filled for ignore_merges only. Keys
  // are what Bytes() returns.
  std::unordered_map<std::string_view, int32_t> words_;
};

}  // namespace aio::tokenizer
