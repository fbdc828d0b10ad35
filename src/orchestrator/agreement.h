// SPDX-License-Identifier: Apache-2.0
//
// How far two answers to one prompt say the same, as a number that people can
// read: 0, no word in common; 1, the same words.
//
// It is F1 over words, the measure by which SQuAD scores free answers
// (Rajpurkar et al., EMNLP 2016): the share of words in common, of both answers
// together. It needs no model and no language, treats both answers alike and
// does not mind their order or a different length of the same thing. What it
// cannot see is that two ways to put it mean the same, so its level belongs to
// the kind of answers, and what tells is that it falls.
//
// Thread safety: pure functions. Cost: O(n log n) in the bytes.
#pragma once

#include <string_view>

namespace aio::orchestrator {

// A word is a run of letters and digits, ASCII in lower case, or one character
// of a script that is written without spaces (Chinese, Japanese). Punctuation,
// space and invalid bytes stand between words. Two answers without words agree.
double Agreement(std::string_view a, std::string_view b);

}  // namespace aio::orchestrator
