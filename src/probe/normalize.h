// SPDX-License-Identifier: Apache-2.0
//
// The text probe's view of a prompt, as tokens. The same function feeds
// training and serving; a change here needs a new model (tools/train_probe).
//
// Words, in the order of the text:
//   words           lower-case, in letters of any script but the next
//   CJK characters  one token each, as these scripts have no spaces
//   numbers         their number of digits only: <d1> <d2> <d3> <d4> <d5>
//   punctuation     one token a character, a run of the same one twice or more
//                   as the character doubled; <nl> a line break, <in> an indent
//   "(A)", "B."     nothing, at the start of a line: an answer to choose
//
// Features, of the text as a whole:
//   <len:3> …       size, scripts, density of digits and symbols, lines,
//   answers
//                   to choose, TeX and code marks, the character it ends with
//   <cue0:2> …      words that speak for an intent (lexicon.h): how many, and
//                   whether at an end
//   ^word  word$    the first and last words: an instruction stands at an end
//
// No token holds a space, a line break or fastText's label prefix.
//
// Thread safety: pure functions. Cost: one pass over at most 1 KiB.
#pragma once

#include <string>
#include <string_view>

#include "core/request.h"

namespace aio::probe {

// Bytes taken from each end of a prompt.
inline constexpr size_t kWindowBytes = 512;

// What the request asks for, as far as the text probe looks: the last user
// message; without one the last message; of a completion its prompt. Neither
// the system prompt, which says the same for every request of an application,
// nor the turns before, which were other requests.
std::string_view TextOf(const core::Request& request);

// The first and the last kWindowBytes of `text`, cut at character borders, with
// a space between; `text` itself if it is no longer than both.
std::string Window(std::string_view text);

struct Tokens {
  std::string features;  // each followed by a space
  int repeats = 1;       // how often the features count
  std::string words;     // each followed by a space
};

// Invalid UTF-8 is read as U+FFFD.
Tokens Normalize(std::string_view text);

// All of it in one line: what fastText trains on.
std::string Line(const Tokens& tokens);

}  // namespace aio::probe
