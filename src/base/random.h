// SPDX-License-Identifier: Apache-2.0
//
// Random numbers that depend on their key and on nothing else, so that a
// sampled text does not change with the batch it was made in (determinism
// contract, rule f). The mixer is SplitMix64's finalizer (Steele, Lea, Flood,
// OOPSLA 2014).
#pragma once

#include <cstdint>

namespace aio {

inline uint64_t Mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// 64 bits keyed by (seed, stream, index); for sampling: (seed, choice, output
// position).
inline uint64_t RandomBits(uint64_t seed, uint64_t stream, uint64_t index) {
  return Mix(Mix(Mix(seed) ^ stream) ^ index);
}

// In [0, 1), 53 bits.
inline double RandomUnit(uint64_t seed, uint64_t stream, uint64_t index) {
  return static_cast<double>(RandomBits(seed, stream, index) >> 11) * 0x1p-53;
}

}  // namespace aio
