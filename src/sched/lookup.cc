// SPDX-License-Identifier: Apache-2.0
#include "sched/lookup.h"

#include <algorithm>
#include <bit>

namespace aio::sched {
namespace {

constexpr int kMin = LookupOptions::kMatchMin;

}  // namespace

uint32_t Lookup::Hash(const int32_t* three) {
  uint64_t h = 0;
  for (int i = 0; i < kMin; ++i) {
    h = (h ^ static_cast<uint32_t>(three[i])) * 0x9E3779B97F4A7C15u;
    h ^= h >> 32;
  }
  return static_cast<uint32_t>(h);
}

// A place is the index behind its three tokens; 0 to 2 have none.
void Lookup::Link(std::span<const int32_t> tokens) {
  size_t at = previous_.size();
  if (tokens.size() > heads_.size() / 2) {
    heads_.assign(std::bit_ceil(std::max<size_t>(64, 4 * tokens.size())), -1);
    at = 0;
  }
  previous_.resize(tokens.size() + 1, -1);
  for (at = std::max<size_t>(at, kMin); at <= tokens.size(); ++at) {
    int32_t& head = heads_[Hash(&tokens[at - kMin]) & (heads_.size() - 1)];
    previous_[at] = head;
    head = static_cast<int32_t>(at);
  }
}

// Tokens before `end` that are those at the end of the text.
int Lookup::MatchLength(std::span<const int32_t> tokens, int end) const {
  const int most = std::min(end, options_.match_max);
  int length = 0;
  while (length < most &&
         tokens[static_cast<size_t>(end - 1 - length)] ==
             tokens[tokens.size() - 1 - static_cast<size_t>(length)]) {
    ++length;
  }
  return length;
}

Lookup::Match Lookup::Find(std::span<const int32_t> tokens, int most) {
  Match match;
  const auto size = static_cast<int>(tokens.size());
  if (size < kMin) return match;
  Link(tokens);
  const int oldest = options_.window > 0 ? size - options_.window : 0;
  int best = -1;
  int32_t at = previous_[tokens.size()];
  for (int i = 0; i < options_.candidates && at > oldest; ++i) {
    const int length = MatchLength(tokens, at);
    if (length >= kMin && length > match.length) {
      match.length = length;
      best = at;
      if (length == options_.match_max) break;
    }
    at = previous_[static_cast<size_t>(at)];
  }
  for (int i = 0; best >= 0 && i < most; ++i) {
    const int from = best + i;
    match.tokens.push_back(
        from < size ? tokens[static_cast<size_t>(from)]
                    : match.tokens[static_cast<size_t>(from - size)]);
  }
  return match;
}

}  // namespace aio::sched
