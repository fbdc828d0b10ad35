// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a matrix of any quantized type: packing stays within its memory,
// and refuses exactly those that have a number which is not finite.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"
#include "tensor/aligned_buffer.h"
#include "tensor/block_codes.h"
#include "tensor/tiles.h"

namespace {

// All but the floats.
constexpr auto kTypes = std::span(aio::kComputableTypes).subspan(3);

}  // namespace

// The first byte chooses the type, the second how many blocks a row has.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const aio::DType type = kTypes[data[0] % kTypes.size()];
  const aio::DTypeTraits traits = *aio::TraitsOf(type);
  const int64_t blocks = data[1] % 5 + 1;
  aio::WeightMatrix w;
  w.type = type;
  w.depth = blocks * traits.block_elements;
  w.row_bytes = blocks * traits.block_bytes;
  w.rows = static_cast<int64_t>(size - 2) / w.row_bytes;
  if (w.rows == 0) return 0;
  // A copy that ends where the matrix does, so that what is read past it shows.
  const auto* from = reinterpret_cast<const std::byte*>(data + 2);
  const std::vector<std::byte> bytes(from, from + w.bytes());
  w.data = bytes.data();
  const aio::TiledMatrix shape = aio::TiledShape(w);
  aio::AlignedBuffer<std::byte> tiles(static_cast<size_t>(shape.bytes()));
  const bool packed = aio::PackTiles(w, {0, shape.tiles()}, tiles.data());
  bool finite = true;
  for (int64_t i = 0; i < w.rows * blocks; ++i) {
    float values[256];
    aio::DequantizeBlock(type, bytes.data() + i * traits.block_bytes, values);
    for (int j = 0; j < traits.block_elements; ++j) {
      finite = finite && std::isfinite(values[j]);
    }
  }
  CHECK(packed == finite);
  return 0;
}
