// SPDX-License-Identifier: Apache-2.0
//
// A request of a simulated client: a core::Request as any, and besides what it
// will say, which no model is there to tell.
//
// Its text is one sequence of tokens without an end, a function of the position
// alone: the prompt is its beginning, the answer what follows, and the next
// turn of a conversation begins with both. So prefixes are shared by the
// production prefix tree, as they would be. Some of it repeats what came
// before, as texts do, which is what lookup lives on.
//
// Thread safety: const once made.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "core/request.h"

namespace aio::sim {

struct SimRequest : core::Request {
  uint64_t conversation = 0;  // whose text
  // The first tokens, which all requests of one `shared` seed have.
  uint64_t shared = 0;
  int shared_tokens = 0;
  int prompt_length = 1;
  int turn = 0;  // of its conversation
  // Tokens of the answer, by variant in the order of the orchestrator; one
  // entry: the same for all.
  std::vector<int> output_lengths = {1};
  // Its tokens are `token_least` and those behind it, so many: others may mean
  // something to a tokenizer.
  int token_least = 0;
  int token_count = 1 << 30;
  // How many of its stretches of kCopyTokens stand somewhere before as well.
  double copied = 0;
  static constexpr int kCopyTokens = 16;
  // A recorded text, prompt and answer, instead of the function; what lookup
  // finds in it is then what it finds in that text.
  std::vector<int32_t> recorded;

  int32_t TokenAt(int position) const {
    if (!recorded.empty()) {
      return recorded[static_cast<size_t>(position) % recorded.size()];
    }
    position = SourceOf(position);
    const uint64_t seed = position < shared_tokens ? shared : conversation;
    const uint64_t bits = Mix(seed ^ Mix(static_cast<uint64_t>(position)));
    return token_least +
           static_cast<int32_t>(bits % static_cast<uint64_t>(token_count));
  }
  std::vector<int32_t> Prompt() const {
    std::vector<int32_t> tokens(static_cast<size_t>(prompt_length));
    for (int i = 0; i < prompt_length; ++i) {
      tokens[static_cast<size_t>(i)] = TokenAt(i);
    }
    return tokens;
  }
  // Where what stands at `position` stood first.
  int SourceOf(int position) const {
    while (copied > 0 && position >= shared_tokens) {
      const int stretch = position / kCopyTokens;
      const auto key = static_cast<uint64_t>(stretch);
      if (stretch < 2 || RandomUnit(conversation, 3, key) >= copied) break;
      // All of the source ends before the stretch begins.
      const auto sources = static_cast<uint64_t>((stretch - 1) * kCopyTokens);
      const auto source =
          static_cast<int>(RandomBits(conversation, 4, key) % sources);
      position = source + position % kCopyTokens;
    }
    return position;
  }
  int OutputLength(size_t variant) const {
    return output_lengths[output_lengths.size() == 1 ? 0 : variant];
  }
};

}  // namespace aio::sim
