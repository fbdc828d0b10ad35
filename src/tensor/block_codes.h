// SPDX-License-Identifier: Apache-2.0
//
// A block of a quantized type taken apart: its integer codes and the scales
// they stand under. The one place that knows where GGUF puts which bit; what
// turns blocks into floats (block_formats.h) or into tiles (tiles.h) starts
// from here.
//
// Thread safety: pure functions.
// Source of the layouts: ggml-org/ggml, ggml-common.h and ggml-quants.c.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace aio {

// A number is, with b its block of 32 (16 for Q6_K) among those that share
// `scale`:
//   Q8_0 Q4_0 Q5_0  scale * (code - offset)
//   Q4_1 Q5_1       scale * code + min
//   Q4_K Q5_K       scale * scales[b] * code - min * mins[b]
//   Q6_K            scale * scales[b] * (code - offset)
struct BlockCodes {
  uint8_t codes[256];  // 32 of them, or 256
  uint16_t scale;      // F16 bits
  uint16_t min;        // F16 bits; Q4_1, Q5_1 and, of all mins, Q4_K, Q5_K
  int8_t scales[16];   // Q4_K, Q5_K: 8, of 0..63; Q6_K: 16
  uint8_t mins[8];     // Q4_K, Q5_K: 0..63
};

// What is added to a number's integer so that its code is unsigned: 128 for
// Q8_0, 8 for Q4_0, 16 for Q5_0, 32 for Q6_K, else 0.
int CodeOffset(DType type);

// Takes one block apart; `block` needs no alignment.
// REQUIRES: a quantized type of the list above.
void UnpackBlock(DType type, const std::byte* block, BlockCodes* out);
// The numbers of one block as floats: 32 of them, or 256. REQUIRES as above.
void DequantizeBlock(DType type, const std::byte* block, float* values);
template <typename Block>  // of block_formats.h
void DequantizeBlock(const Block& block, float* values) {
  DequantizeBlock(Block::kType, reinterpret_cast<const std::byte*>(&block),
                  values);
}

}  // namespace aio
