// SPDX-License-Identifier: Apache-2.0
//
// The two planes of nested matrices against the table in tiles.h.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "tensor/aligned_buffer.h"
#include "tensor/block_formats.h"
#include "tensor/nest.h"
#include "tensor/tiles.h"

namespace aio {
namespace {

using Bytes = std::vector<std::byte>;

Bytes RandomBytes(size_t size, uint64_t stream) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::byte>(RandomBits(6, stream, i));
  }
  return bytes;
}

// Random bits in the file's form, scales finite, and tiles packed over rubbish.
class Packed {
 public:
  Packed(Nest nest, int64_t rows, int64_t depth) {
    const DType type = nest == Nest::kK ? DType::kQ4_K : DType::kQ8_0;
    const auto row_bytes = static_cast<int64_t>(BytesFor(type, depth));
    bytes_ = RandomBytes(static_cast<size_t>(rows * row_bytes), 1);
    fine_ = RandomBytes(static_cast<size_t>(rows * depth / 2), 2);
    const auto block = static_cast<size_t>(TraitsOf(type)->block_bytes);
    for (size_t at = 0; at < bytes_.size(); at += block) {
      bytes_[at + 1] &= static_cast<std::byte>(~0x40);
      if (nest == Nest::kK) bytes_[at + 3] &= static_cast<std::byte>(~0x40);
    }
    matrix_ = {type, bytes_.data(), rows, depth, row_bytes, nest, nullptr};
    if (nest == Nest::kK) matrix_.fine = fine_.data();
    tiles_ = TiledShape(matrix_);
    memory_ = AlignedBuffer<std::byte>(static_cast<size_t>(tiles_.bytes()));
    std::memset(memory_.data(), 0xA5, memory_.size());
    tiles_.data = memory_.data();
    tiles_.fine = memory_.data() + tiles_.high_bytes();
  }

  bool Pack(Range tiles) {
    return PackTiles(matrix_, tiles,
                     memory_.data() + tiles.begin * tiles_.tile_bytes,
                     memory_.data() + tiles_.high_bytes() +
                         tiles.begin * tiles_.fine_tile_bytes);
  }
  bool Pack() { return Pack({0, tiles_.tiles()}); }
  Bytes Copy() const {
    return {memory_.data(), memory_.data() + memory_.size()};
  }
  const WeightMatrix& matrix() const { return matrix_; }
  const TiledMatrix& tiles() const { return tiles_; }
  std::byte* bytes() { return bytes_.data(); }

 private:
  Bytes bytes_, fine_;
  AlignedBuffer<std::byte> memory_;
  WeightMatrix matrix_;
  TiledMatrix tiles_;
};

constexpr Nest kKinds[] = {Nest::kK, Nest::k8};

int At(const std::byte* p, int64_t i) { return std::to_integer<int>(p[i]); }

// Number k of a row's nibbles that begin at `group`: steps of 4 numbers, steps
// 2i and 2i + 1 share 64 bytes.
int Nibble(const std::byte* group, int64_t row, int64_t k) {
  const int byte = At(group, k / 8 * 64 + row * 4 + k % 4);
  return k / 4 % 2 == 0 ? byte & 15 : byte >> 4;
}

int FineOf(const TiledMatrix& m, int64_t row, int64_t k) {
  const TileGroup group = FineGroupOf(m.nest);
  return Nibble(m.FineTile(row / 16) + k / group.depth * group.bytes, row % 16,
                k % group.depth);
}

TEST(NestTilesTest, PlanesTakeWhatTheFileTakes) {
  for (const Nest nest : kKinds) {
    const Packed p(nest, 32, 512);
    EXPECT_EQ(p.tiles().high_bytes(), 32 * 512 * 9 / 16);
    EXPECT_EQ(p.tiles().bytes(), 32 * 512 * 17 / 16);
  }
}

TEST(NestTilesTest, TheHighPlaneOfKIsQ4_Ks) {
  Packed p(Nest::kK, 37, 768);
  ASSERT_TRUE(p.Pack());
  WeightMatrix plain = p.matrix();
  plain.nest = Nest::kNone;
  Bytes want(static_cast<size_t>(TiledShape(plain).bytes()));
  ASSERT_TRUE(PackTiles(plain, {0, p.tiles().tiles()}, want.data()));
  ASSERT_EQ(static_cast<size_t>(p.tiles().high_bytes()), want.size());
  EXPECT_EQ(std::memcmp(p.tiles().data, want.data(), want.size()), 0);
}

TEST(NestTilesTest, EveryResidualLiesWhereTheTableSays) {
  Packed p(Nest::kK, 37, 768);
  ASSERT_TRUE(p.Pack());
  for (int64_t r = 0; r < 37; ++r) {
    for (int64_t k = 0; k < 768; ++k) {
      const std::byte* row = p.matrix().fine + r * 384;
      const int byte = At(row, k / 64 * 32 + k % 32);
      ASSERT_EQ(FineOf(p.tiles(), r, k), k % 64 < 32 ? byte & 15 : byte >> 4)
          << r << " " << k;
    }
  }
}

TEST(NestTilesTest, TheHalvesOfQ8_0LieWhereTheTableSays) {
  Packed p(Nest::k8, 37, 96);
  ASSERT_TRUE(p.Pack());
  for (int64_t r = 0; r < 37; ++r) {
    for (int64_t k = 0; k < 96; ++k) {
      BlockQ8_0 block;
      std::memcpy(&block, p.matrix().Row(r) + k / 32 * 34, sizeof(block));
      const std::byte* group = p.tiles().Tile(r / 16) + k / 64 * 576;
      uint16_t scale;
      std::memcpy(&scale, group + k % 64 / 32 * 32 + r % 16 * 2, 2);
      ASSERT_EQ(scale, block.scale);
      const int high = Nibble(group + 64, r % 16, k % 64);
      ASSERT_EQ(16 * high + FineOf(p.tiles(), r, k), block.q[k % 32] + 128)
          << r << " " << k;
    }
  }
}

TEST(NestTilesTest, WhatIsMissingIsZeros) {
  for (const Nest nest : kKinds) {
    for (const int64_t rows : {1, 15, 17}) {
      const int64_t depth = nest == Nest::kK ? 512 : 96;
      Packed p(nest, rows, depth);
      ASSERT_TRUE(p.Pack());
      const TileGroup group = FineGroupOf(nest);
      const int64_t end = p.tiles().fine_tile_bytes / group.bytes * group.depth;
      for (int64_t r = 0; r < 16 * p.tiles().tiles(); ++r) {
        for (int64_t k = r < rows ? depth : 0; k < end; ++k) {
          ASSERT_EQ(FineOf(p.tiles(), r, k), 0) << r << " " << k;
        }
      }
    }
  }
}

TEST(NestTilesTest, TilesPackedOneByOneAreTheSame) {
  for (const Nest nest : kKinds) {
    Packed whole(nest, 40, 512), parts(nest, 40, 512);
    ASSERT_TRUE(whole.Pack());
    for (const int64_t t : {2, 0, 1}) ASSERT_TRUE(parts.Pack({t, t + 1}));
    EXPECT_EQ(parts.Copy(), whole.Copy());
  }
}

TEST(NestTilesTest, AScaleThatIsNotFiniteIsRefused) {
  for (const Nest nest : kKinds) {
    Packed p(nest, 17, 512);
    p.bytes()[p.matrix().bytes() / 2 / 144 * 144 + 1] = std::byte{0x7C};
    if (nest == Nest::k8) p.bytes()[1] = std::byte{0x7C};
    EXPECT_FALSE(p.Pack());
  }
}

}  // namespace
}  // namespace aio
