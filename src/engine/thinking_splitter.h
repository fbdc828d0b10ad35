// SPDX-License-Identifier: Apache-2.0
//
// Tells what a model thinks from what it answers, in a text that arrives in
// pieces. A thought is between the model's marks and comes first: marks behind
// the first word of an answer are text. The marks and the white space behind
// them belong to neither.
//
// Thread safety: none; one per choice.
// Cost: O(text).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "tokenizer/thinking.h"

namespace aio::engine {

class ThinkingSplitter {
 public:
  enum class Where : uint8_t {
    kBegin,    // nothing but white space yet, and maybe a part of a mark
    kThought,  // between the marks
    kBehind,   // the thought is over, the answer has not begun
    kAnswer,
  };
  struct Pieces {
    std::string thought;
    std::string answer;
  };

  // `open`: the prompt ends within a thought.
  ThinkingSplitter(tokenizer::ThinkingMarks marks, bool open)
      : marks_(std::move(marks)),
        where_(open ? Where::kThought : Where::kBegin) {}

  Pieces Push(std::string_view text);
  // What was held back, when no more will come.
  Pieces Finish();

  Where where() const { return where_; }

 private:
  void Begin();
  void Think(Pieces* out);

  tokenizer::ThinkingMarks marks_;
  Where where_;
  bool thought_ = false;  // has begun to be shown
  std::string held_;
};

}  // namespace aio::engine
