// SPDX-License-Identifier: Apache-2.0
//
// Text to token ids and back, as the model file says: BPE (tokenizer.ggml.model
// = gpt2, with a pre-tokenizer by name) and SentencePiece (= llama).
//
// Thread safety: const after Load; any number of threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/gguf.h"
#include "tokenizer/span.h"

namespace aio::tokenizer {

class Tokenizer {
 public:
  // kCorrupt for tables that contradict each other, kUnsupported naming an
  // unknown model or pre-tokenizer.
  static Result<std::shared_ptr<const Tokenizer>> Load(const gguf::File& file);
  virtual ~Tokenizer() = default;

  // Ids of plain text: no begin or end token added, no control token parsed.
  // User-defined tokens are text and are found everywhere.
  std::vector<int32_t> Encode(std::string_view text) const;
  // Ids of a prompt in pieces; control tokens are parsed only where they lie in
  // trusted pieces wholly. Otherwise the pieces are one text: their borders are
  // no borders of tokens.
  // `add_bos`: begins with bos if the file asks for one and the prompt does not
  // already begin with it.
  virtual std::vector<int32_t> Encode(const Spans& spans,
                                      bool add_bos) const = 0;

  // The bytes of a token as they stand in running text; may be part of a
  // character. Control tokens decode to nothing unless `special`.
  virtual std::string_view Bytes(int32_t id, bool special = false) const = 0;
  // The token's text as the file has it ("▁the", "<|im_end|>").
  virtual std::string_view Piece(int32_t id) const = 0;
  // The id whose piece is exactly this; -1 if none.
  virtual int32_t Find(std::string_view piece) const = 0;

  virtual int32_t vocabulary() const = 0;
  virtual int32_t bos() const = 0;  // -1 if the file has none
  virtual int32_t eos() const = 0;  // -1 if the file has none
  // Whether Encode puts a space in front of a text that begins a prompt or
  // follows a special token (SentencePiece); the decoder then drops it.
  virtual bool adds_space_prefix() const { return false; }
  // Whether generation ends at this token (eos, eot, end of message).
  virtual bool IsEnd(int32_t id) const = 0;
};

// Decodes a stream of ids into whole UTF-8 characters.
// Thread safety: none; one per choice.
class StreamDecoder {
 public:
  // `at_start`: a SentencePiece text drops the space in front of its first
  // word; false when the output continues a prompt.
  StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool at_start);
  // The text that `id` completes; may be empty. Bytes that can never become
  // UTF-8 come out as U+FFFD.
  std::string Push(int32_t id);
  // What was held back, at the end.
  std::string Finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool at_start_;
  std::string pending_;
};

}  // namespace aio::tokenizer
