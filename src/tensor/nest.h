// SPDX-License-Identifier: Apache-2.0
//
// Nested weights: one copy that is read at 4 bits a weight or at 8.
//
//   kK  A block of Q4_K, weights d * u - m with u in 0..15, and for each weight
//       a residual r in 0..15 that cuts the interval around d * u - m into 16.
//       At 4 bits they are Q4_K's weights; at 8 bits, in the middle of the
//       sixteenth,
//         d * u - m + d / 16 * (r - 7.5)
//           = d / 16 * (byte - 128) + (120.5 * d / 16 - m), byte = 16 * u + r.
//   k8  A block of Q8_0, weights s * q, whose bytes q + 128 = 16 * u + r are
//   cut
//       in two. At 8 bits they are Q8_0's weights; at 4 bits, in the middle of
//       what r may be, s * (16 * u - 120.5) = 16 * s * (u - 8) + 7.5 * s.
//       Without the last part, which is to drop r, all weights were off the
//       same way, and products add that up until nothing else is left.
//
// Thread safety: pure functions.
// See docs/nest.md for the file and the figures.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"
#include "tensor/block_formats.h"
#include "tensor/matrix.h"

namespace aio {

// Residuals of 256 weights, as Q4_K's own nibbles lie: byte 32 * p + i has that
// of weight 64 * p + i in its low half and of weight 64 * p + 32 + i in its
// high half.
inline constexpr int kFineBytes = kSuperBlockElements / 2;

// The residuals of 256 values under `block`. Where its scale is zero, 8.
void FineCodes(const float* values, const BlockQ4_K& block, uint8_t* fine);
// Taken apart again: [256].
void UnpackFine(const std::byte* fine, uint8_t* codes);
// 256 weights of kK at 8 bits.
void DequantizeFine(const BlockQ4_K& block, const uint8_t* fine, float* values);
// 32 weights of k8 at 4 bits.
void DequantizeCoarse(const BlockQ8_0& block, float* values);

// What weights lose by being nested as kK, in squares, and as Q8_0.
struct NestLoss {
  double signal = 0;  // of the weights
  double coarse = 0, fine = 0, q8 = 0;
  // Blocks of 32 whose scale is rounded to zero though their weights differ:
  // no residual repairs them.
  int64_t lost = 0;
  bool finite = true;

  void Add(const NestLoss& other);
  // Whether kK serves: nothing is lost, and 8 bits are hardly worse than Q8_0.
  bool Serves() const;
};
// Noise at 8 bits may be so many times that of Q8_0. Trained weights have about
// as much, evenly distributed ones 1.2 times.
inline constexpr double kFineNoiseMax = 1.5;

// Encodes rows of F32, F16 or BF16 weights as kK, one after another:
// [rows][depth / 256] blocks, [rows][depth / 2] residuals.
// REQUIRES: depth a multiple of 256.
NestLoss EncodeNest(const WeightMatrix& w, Range rows, BlockQ4_K* blocks,
                    uint8_t* fine);

// The kind that fits rows of `depth` numbers of `type` where they shall be
// nested: of Q8_0 exactly what the file says, of F32, F16 and BF16 kK, or k8
// where rows are no whole number of 256; of all others none.
Nest NestFor(DType type, int64_t depth);

}  // namespace aio
