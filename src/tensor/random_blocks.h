// SPDX-License-Identifier: Apache-2.0
//
// Random weights written directly in a tensor's format: what a file of random
// weights is made of. Weights are uniform with mean 0; codes and scales are
// drawn, which is much quicker than quantizing floats.
//
// Thread safety: pure functions. A block depends on its number only, so that
// threads may share a tensor in any way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace aio {

// Fills `blocks` with the blocks number `first`, `first` + 1, ... of a tensor
// whose weights have about the standard deviation `spread`; `seed` and `stream`
// name the tensor. The scales of quantized blocks vary by a quarter each way.
// REQUIRES: IsComputable(type); blocks.size() is a multiple of the block's
// bytes.
void RandomBlocks(DType type, double spread, uint64_t seed, uint64_t stream,
                  int64_t first, std::span<std::byte> blocks);

}  // namespace aio
