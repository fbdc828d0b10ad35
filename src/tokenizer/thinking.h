// SPDX-License-Identifier: Apache-2.0
//
// How a model is told to think or not, and the marks between which it does: as
// its file shows, never by its name. A chat template that reads enable_thinking
// writes two different prompts; one that knows the marks mentions them, if only
// to drop the thinking of earlier turns.
//
// Thread safety: plain data and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/chat_template.h"
#include "tokenizer/span.h"
#include "tokenizer/tokenizer.h"

namespace aio::tokenizer {

struct ThinkingMarks {
  std::string open;
  std::string close;
};

struct ThinkingStyle {
  enum class Switch : uint8_t {
    kNone,
    kVariable,  // enable_thinking of the template
    kWord,      // the end of the last message, as openPangu has it
  };
  Switch how = Switch::kNone;
  // Whether it thinks unless told. Absent: not known. Without a switch it is
  // known of prompts that end within a thought.
  std::optional<bool> usual = {};
  std::optional<ThinkingMarks> marks = {};
};

// Of the template whose text is `source`.
ThinkingStyle ThinkingOf(const ChatTemplate& chat_template,
                         std::string_view source);
// Of an openPangu that thinks: it does unless told, between tokens of its own.
// No style if the vocabulary lacks them.
ThinkingStyle PanguThinking(const Tokenizer& tokenizer);

// Whether the answer to this prompt begins within a thought. Only what the
// template wrote behind the last message counts.
bool EndsInThought(const ThinkingMarks& marks, const Spans& prompt);

}  // namespace aio::tokenizer
