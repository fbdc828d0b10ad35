// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

namespace aio::tokenizer {

StreamDecoder::StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer,
                             bool at_start)
    : tokenizer_(std::move(tokenizer)), at_start_(at_start) {}

std::string StreamDecoder::Push(int32_t id) {
  std::string_view bytes = tokenizer_->Bytes(id);
  if (at_start_ && !bytes.empty()) {
    at_start_ = false;
    if (tokenizer_->adds_space_prefix() && bytes.front() == ' ') {
      bytes.remove_prefix(1);
    }
  }
  pending_ += bytes;
  const size_t whole = pending_.size() - IncompleteUtf8Tail(pending_);
  std::string text =
      ReplaceInvalidUtf8(std::string_view(pending_).substr(0, whole));
  pending_.erase(0, whole);
  return text;
}

std::string StreamDecoder::Finish() {
  return ReplaceInvalidUtf8(std::exchange(pending_, {}));
}

}  // namespace aio::tokenizer
