// SPDX-License-Identifier: Apache-2.0
//
// What both kinds of tokenizer share: cutting a prompt at special tokens, the
// begin token, and looking things up. A kind adds how text without special
// tokens becomes ids, and what bytes an id stands for.
//
// Thread safety: const.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/special_tokens.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace aio::tokenizer {

class VocabularyTokenizer : public Tokenizer {
 public:
  using Tokenizer::Encode;
  std::vector<int32_t> Encode(const Spans& spans, bool add_bos) const final;
  std::string_view Bytes(int32_t id, bool special) const final;
  std::string_view Piece(int32_t id) const final;
  int32_t Find(std::string_view piece) const final;
  int32_t vocabulary() const final { return vocabulary_.size(); }
  int32_t bos() const final { return vocabulary_.bos(); }
  int32_t eos() const final { return vocabulary_.eos(); }
  bool IsEnd(int32_t id) const final { return vocabulary_.IsEnd(id); }

 protected:
  struct Options {
    bool add_bos = false;      // prompts begin with bos
    bool strip_right = false;  // see SpecialTokens
  };
  VocabularyTokenizer(Vocabulary vocabulary, const Options& options);

  // Appends the ids of text in which no special token is to be found.
  // `after_special`: it begins the prompt or follows a special token.
  virtual void EncodeText(std::string_view text, bool after_special,
                          std::vector<int32_t>* ids) const = 0;

  // What id decodes to in running text, if that is not its piece. Called by the
  // constructors of the kinds, once for each such id and in order.
  void SetBytes(int32_t id, std::string_view bytes);

  const Vocabulary& table() const { return vocabulary_; }

 private:
  // A stretch of decoded_; size < 0: the piece itself.
  struct Decoded {
    uint32_t begin = 0;
    int32_t size = -1;
  };

  Vocabulary vocabulary_;
  SpecialTokens special_;
  bool add_bos_;
  std::vector<char> decoded_;
  std::vector<Decoded> bytes_;  // [vocabulary]
};

}  // namespace aio::tokenizer
