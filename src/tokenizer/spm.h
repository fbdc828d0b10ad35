// SPDX-License-Identifier: Apache-2.0
//
// SentencePiece's byte-pair kind, as Llama 1 and 2 use it: a space is "▁", the
// text starts as its characters, and the pair whose joined piece has the
// highest score merges until none is left. Characters without a token become
// byte tokens, "<0x0A>".
//
// Thread safety: const.
// Cost: O(n log n) in the characters of the text, for any input.
// Source: google/sentencepiece, src/bpe_model.cc; llama.cpp for where the space
// in front of a text goes.
#pragma once

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary_tokenizer.h"

namespace aio::tokenizer {

class SpmTokenizer final : public VocabularyTokenizer {
 public:
  // kCorrupt without scores.
  static Result<std::shared_ptr<const Tokenizer>> Load(Vocabulary vocabulary,
                                                       const gguf::File& file);

  bool adds_space_prefix() const override { return adds_space_prefix_; }

 protected:
  void EncodeText(std::string_view text, bool after_special,
                  std::vector<int32_t>* ids) const override;

 private:
  struct Scratch;  // the buffers of one call of EncodeText

  SpmTokenizer(Vocabulary vocabulary, const Options& options,
               bool adds_space_prefix);
  void LearnBytes();
  void LearnPieces();
  // `text`: with "▁" for spaces.
  void EncodeWord(std::string_view text, Scratch* scratch,
                  std::vector<int32_t>* ids) const;
  void MergeAll(std::string_view text, Scratch* scratch) const;
  void AppendSymbol(std::string_view symbol, std::vector<int32_t>* ids) const;

  bool adds_space_prefix_;
  // Whether no piece has a "▁" behind another character; then words can be
  // encoded one by one, which keeps the heap small.
  bool words_are_independent_ = true;
  size_t piece_bytes_max_ = 0;         // of what text may become
  std::array<int32_t, 256> byte_ids_;  // -1: the vocabulary lacks this byte
};

}  // namespace aio::tokenizer
