// SPDX-License-Identifier: Apache-2.0
#include "engine/thinking_splitter.h"

#include <algorithm>
#include <utility>

namespace aio::engine {
namespace {

constexpr const char* kSpace = " \t\r\n";

void TrimLeft(std::string* text) {
  text->erase(0, std::min(text->find_first_not_of(kSpace), text->size()));
}

// Bytes at the end of `text` that begin `mark`, and are not all of it.
size_t BeginsAtEnd(std::string_view text, std::string_view mark) {
  for (size_t n = std::min(mark.size() - 1, text.size()); n > 0; --n) {
    if (text.ends_with(mark.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

ThinkingSplitter::Pieces ThinkingSplitter::Push(std::string_view text) {
  Pieces out;
  held_ += text;
  if (where_ == Where::kBegin) Begin();
  if (where_ == Where::kThought) Think(&out);
  if (where_ == Where::kBehind) {
    TrimLeft(&held_);
    if (!held_.empty()) where_ = Where::kAnswer;
  }
  if (where_ == Where::kAnswer) out.answer += std::exchange(held_, "");
  return out;
}

ThinkingSplitter::Pieces ThinkingSplitter::Finish() {
  Pieces out;
  (where_ == Where::kThought ? out.thought : out.answer) =
      std::exchange(held_, "");
  return out;
}

void ThinkingSplitter::Begin() {
  const size_t word = std::min(held_.find_first_not_of(kSpace), held_.size());
  const std::string_view rest = std::string_view(held_).substr(word);
  if (rest.starts_with(marks_.open)) {
    held_.erase(0, word + marks_.open.size());
    where_ = Where::kThought;
  } else if (!std::string_view(marks_.open).starts_with(rest)) {
    where_ = Where::kAnswer;
  }
}

void ThinkingSplitter::Think(Pieces* out) {
  if (!thought_) TrimLeft(&held_);
  const size_t close = held_.find(marks_.close);
  const bool closed = close != std::string::npos;
  const size_t shown =
      closed ? close : held_.size() - BeginsAtEnd(held_, marks_.close);
  out->thought += held_.substr(0, shown);
  held_.erase(0, closed ? close + marks_.close.size() : shown);
  thought_ = thought_ || shown > 0;
  if (closed) where_ = Where::kBehind;
}

}  // namespace aio::engine
