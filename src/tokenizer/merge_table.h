// SPDX-License-Identifier: Apache-2.0
//
// Which pairs of tokens merge, in what order, and to what: a hash table with
// open addressing, because encoding spends half of its time in it and a
// std::unordered_map takes three times as long.
//
// Thread safety: const after the last Insert.
// Invariants: at most half full; keys are never ~0, as ids are not negative.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.h"

namespace aio::tokenizer {

struct Merge {
  uint32_t rank;   // lower merges first
  int32_t result;  // the token that the pair becomes
};

class MergeTable {
 public:
  // For up to `count` merges.
  explicit MergeTable(size_t count) {
    size_t slots = 16;
    while (slots < 2 * count) slots *= 2;
    slots_.assign(slots, {kEmpty, {0, 0}});
  }

  // Keeps the first merge of a pair. REQUIRES: left, right >= 0; no more calls
  // than the constructor was told.
  void Insert(int32_t left, int32_t right, Merge merge) {
    Slot& slot = slots_[Position(Key(left, right))];
    if (slot.key == kEmpty) slot = {Key(left, right), merge};
  }

  // Null if the pair does not merge; either id may be -1.
  const Merge* Find(int32_t left, int32_t right) const {
    if (left < 0 || right < 0) return nullptr;
    const Slot& slot = slots_[Position(Key(left, right))];
    return slot.key == kEmpty ? nullptr : &slot.merge;
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  struct Slot {
    uint64_t key;
    Merge merge;
  };

  static uint64_t Key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  }
  size_t Position(uint64_t key) const {
    const size_t mask = slots_.size() - 1;
    size_t at = Mix(key) & mask;
    while (slots_[at].key != kEmpty && slots_[at].key != key) {
      at = (at + 1) & mask;
    }
    return at;
  }

  std::vector<Slot> slots_;
};

}  // namespace aio::tokenizer
