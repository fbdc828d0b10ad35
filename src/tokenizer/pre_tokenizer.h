// SPDX-License-Identifier: Apache-2.0
//
// Cuts text into the words that byte-pair merges never cross, by the regular
// expressions a model was trained with. Every byte of the text ends up in
// exactly one word, whatever the text is.
//
// Thread safety: const.
// Cost: linear in the text for every expression listed here; about 100 ns a
// word where PCRE2 can compile to machine code.
// Source of names and expressions: the models' tokenizer.json, and llama.cpp's
// src/llama-vocab.cpp for which name stands for which.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"

struct pcre2_real_code_8;

namespace aio::tokenizer {

class PreTokenizer {
 public:
  // `name`: tokenizer.ggml.pre. kUnsupported naming it, if it is not known.
  // `compile`: to machine code; false only in tests, for the fallback.
  static Result<PreTokenizer> Create(std::string_view name,
                                     bool compile = true);

  // Appends the words of `text`, in order; joined, they are `text`. Bytes that
  // are no UTF-8 make words of their own.
  void Split(std::string_view text, std::vector<std::string_view>* words) const;

  // Whether a word that is a token needs no merges (Llama 3).
  bool ignore_merges() const { return ignore_merges_; }
  // Whether prompts begin with bos where the file does not say.
  bool add_bos() const { return add_bos_; }

 private:
  PreTokenizer() = default;
  void SplitValid(std::string_view text,
                  std::vector<std::string_view>* words) const;

  // Applied in turn, each to the words that the one before it made.
  std::vector<std::shared_ptr<const pcre2_real_code_8>> expressions_;
  bool ignore_merges_ = false;
  bool add_bos_ = false;
};

}  // namespace aio::tokenizer
