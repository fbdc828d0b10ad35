// SPDX-License-Identifier: Apache-2.0
//
// Drafts from a sequence's own text: where the tokens at its end stood before,
// what followed them then may follow now. A hash chain links the places of each
// three tokens, as in LZ77; the longest match wins, of equals the newest.
//
// Thread safety: none; one per sequence.
// Cost: O(1) and 8 bytes a token; Find compares at most `candidates` places.
// See docs/speculation.md.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace aio::sched {

struct LookupOptions {
  static constexpr int kMatchMin = 3;  // tokens that a chain links
  int match_max = 32;                  // longer matches are as good
  int candidates = 16;                 // places looked at, newest first
  int window = 0;                      // tokens back that count; 0: all
};

class Lookup {
 public:
  explicit Lookup(const LookupOptions& options = {}) : options_(options) {}

  struct Match {
    int length = 0;               // 0: none
    std::vector<int32_t> tokens;  // what came behind, `most` of them
  };

  // For the end of `tokens`, which have only grown since the last call. A match
  // so near that its continuation runs into the end goes on with itself, as a
  // repetition.
  Match Find(std::span<const int32_t> tokens, int most);

 private:
  static uint32_t Hash(const int32_t* three);
  void Link(std::span<const int32_t> tokens);
  int MatchLength(std::span<const int32_t> tokens, int end) const;

  LookupOptions options_;
  // Ends of three tokens: the newest by hash, and before each the next older.
  std::vector<int32_t> heads_;     // [power of two]; -1: none
  std::vector<int32_t> previous_;  // [token]
};

}  // namespace aio::sched
