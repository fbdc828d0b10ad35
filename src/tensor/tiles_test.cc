// SPDX-License-Identifier: Apache-2.0
//
// Packed tiles against the table in tiles.h, read number by number: what is
// read below is written from that table alone.
#include "tensor/tiles.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "tensor/aligned_buffer.h"
#include "tensor/block_codes.h"
#include "tensor/block_formats.h"

namespace aio {
namespace {

// All that a tile says about one number; of F32, F16 and BF16, `code` alone.
struct Entry {
  uint32_t code = 0;
  uint16_t scale = 0, min = 0;         // F16 bits
  int block_scale = 0, block_min = 0;  // of the K types
  friend bool operator==(const Entry&, const Entry&) = default;
};

// A view of one group of 16 rows.
class Group {
 public:
  Group(const std::byte* bytes, int row)
      : bytes_(reinterpret_cast<const uint8_t*>(bytes)), row_(row) {}

  int Byte(int at) const { return bytes_[at]; }
  uint16_t Half(int at) const { return Word<uint16_t>(at + 2 * row_); }
  template <typename T>
  T Word(int at) const {
    T word;
    std::memcpy(&word, bytes_ + at, sizeof(word));
    return word;
  }
  // Byte `k` % 4 of this row in the 64 bytes of a step at `at`.
  int InStep(int at, int k) const { return Byte(at + 4 * row_ + k % 4); }
  // Number `k` of nibbles that begin at `at`: steps 2i and 2i + 1 share 64.
  int Nibble(int at, int k) const {
    const int byte = InStep(at + k / 8 * 64, k);
    return k / 4 % 2 == 0 ? byte & 15 : byte >> 4;
  }

 private:
  const uint8_t* bytes_;
  int row_;
};

Entry ReadPair(DType type, const Group& g, int k) {
  const bool min = type == DType::kQ4_1 || type == DType::kQ5_1;
  const bool five = type == DType::kQ5_0 || type == DType::kQ5_1;
  const int b = k / 32, i = k % 32;
  Entry e;
  int at = 64;
  e.scale = g.Half(32 * b);
  if (min) {
    e.min = g.Half(at + 32 * b);
    at += 64;
  }
  int fifth = 0;
  if (five) {
    fifth = g.InStep(at + 64 * b, i) >> (i / 4) & 1;
    at += 128;
  }
  const int code = type == DType::kQ8_0 ? g.InStep(at + 512 * b + i / 4 * 64, i)
                                        : g.Nibble(at + 256 * b, i);
  e.code = static_cast<uint32_t>(code | fifth << 4);
  return e;
}

Entry ReadK(DType type, const Group& g, int row, int k) {
  const int b = k / 32, i = k % 32;
  Entry e;
  e.scale = g.Half(0);
  e.min = g.Half(32);
  const int low = g.Byte(64 + 16 * b + row);
  const auto high =
      static_cast<int>(g.Word<uint32_t>(64 + 128 + 4 * row) >> (4 * b) & 15);
  e.block_scale = (low & 15) | (high & 3) << 4;
  e.block_min = low >> 4 | high >> 2 << 4;
  int at = 64 + 192;
  int fifth = 0;
  if (type == DType::kQ5_K) {
    fifth = g.InStep(at + 64 * b, i) >> (i / 4) & 1;
    at += 8 * 64;
  }
  e.code = static_cast<uint32_t>(g.Nibble(at + 256 * b, i) | fifth << 4);
  return e;
}

Entry ReadQ6_K(const Group& g, int row, int k) {
  const int b = k / 16, i = k % 16;
  Entry e;
  e.scale = g.Half(0);
  e.block_scale = static_cast<int8_t>(g.Byte(64 + 16 * b + row));
  const int at = 320 + 192 * b;
  const int high = g.InStep(at + 128, i) >> (2 * (i / 4)) & 3;
  e.code = static_cast<uint32_t>(g.Nibble(at, i) | high << 4);
  return e;
}

Entry ReadEntry(const TiledMatrix& m, int64_t row, int64_t depth) {
  const TileGroup group = TileGroupOf(m.type);
  const int r = static_cast<int>(row % 16);
  const int k = static_cast<int>(depth % group.depth);
  const Group g(m.Tile(row / 16) + depth / group.depth * group.bytes, r);
  switch (m.type) {
    case DType::kF32:
      return {g.Word<uint32_t>(64 * k + 4 * r)};
    case DType::kF16:
    case DType::kBF16:
      return {g.Word<uint16_t>(32 * k + 2 * r)};
    case DType::kQ4_K:
    case DType::kQ5_K:
      return ReadK(m.type, g, r, k);
    case DType::kQ6_K:
      return ReadQ6_K(g, r, k);
    default:
      return ReadPair(m.type, g, k);
  }
}

// The number by block_codes.h, whose arithmetic a block must have.
float ValueOf(DType type, const Entry& e) {
  switch (type) {
    case DType::kF32:
      return std::bit_cast<float>(e.code);
    case DType::kF16:
      return F16ToF32(static_cast<uint16_t>(e.code));
    case DType::kBF16:
      return Bf16ToF32(static_cast<uint16_t>(e.code));
    default:
      break;
  }
  const float code =
      static_cast<float>(static_cast<int>(e.code) - CodeOffset(type));
  const float scale = F16ToF32(e.scale), min = F16ToF32(e.min);
  const bool k = TraitsOf(type)->block_elements > kBlockElements;
  if (!k) return scale * code + min;
  return scale * static_cast<float>(e.block_scale) * code -
         min * static_cast<float>(e.block_min);
}

// Where the F16 scales of a block lie, or the numbers themselves: the byte with
// the upper bits of their exponent.
std::vector<size_t> ExponentBytes(DType type) {
  switch (type) {
    case DType::kF32:
      return {3};
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {1, 3};
    case DType::kQ6_K:
      return {209};
    default:
      return {1};
  }
}

// Random bits in the file's form, all of its numbers finite, and their tiles,
// packed over rubbish.
class Packed {
 public:
  Packed(DType type, int64_t rows, int64_t depth)
      : bytes_(static_cast<size_t>(rows) * BytesFor(type, depth)) {
    for (size_t i = 0; i < bytes_.size(); ++i) {
      bytes_[i] = static_cast<std::byte>(RandomBits(5, 1, i));
    }
    const auto block = static_cast<size_t>(TraitsOf(type)->block_bytes);
    for (size_t at = 0; at < bytes_.size(); at += block) {
      for (const size_t i : ExponentBytes(type)) {
        bytes_[at + i] &= static_cast<std::byte>(~0x40);
      }
    }
    const auto row_bytes = static_cast<int64_t>(BytesFor(type, depth));
    matrix_ = {type, bytes_.data(), rows, depth, row_bytes};
    tiles_ = TiledShape(matrix_);
    memory_ = AlignedBuffer<std::byte>(static_cast<size_t>(tiles_.bytes()));
    std::memset(memory_.data(), 0xA5, memory_.size());
    tiles_.data = memory_.data();
  }

  bool Pack() { return Pack({0, tiles_.tiles()}); }
  bool Pack(Range tiles) {
    return PackTiles(matrix_, tiles,
                     memory_.data() + tiles.begin * tiles_.tile_bytes);
  }
  std::byte* bytes() { return bytes_.data(); }
  const WeightMatrix& matrix() const { return matrix_; }
  const TiledMatrix& tiles() const { return tiles_; }
  std::vector<std::byte> Copy() const {
    return {memory_.data(), memory_.data() + memory_.size()};
  }

 private:
  std::vector<std::byte> bytes_;
  AlignedBuffer<std::byte> memory_;
  WeightMatrix matrix_;
  TiledMatrix tiles_;
};

std::string About(DType type, int64_t row, int64_t k) {
  return NameOf(type) + " row " + std::to_string(row) + " number " +
         std::to_string(k);
}

TEST(TilesTest, EveryNumberLiesWhereTheTableSays) {
  for (const DType type : kComputableTypes) {
    Packed p(type, 37, 768);
    ASSERT_TRUE(p.Pack());
    std::vector<float> row(768);
    for (int64_t r = 0; r < p.matrix().rows; ++r) {
      DecodeRow(type,
                {p.matrix().Row(r), static_cast<size_t>(p.matrix().row_bytes)},
                row);
      for (int64_t k = 0; k < p.matrix().depth; ++k) {
        // The sign of a zero is lost where an offset is added to codes.
        ASSERT_EQ(ValueOf(type, ReadEntry(p.tiles(), r, k)),
                  row[static_cast<size_t>(k)])
            << About(type, r, k);
      }
    }
  }
}

TEST(TilesTest, RowsAndDepthThatAreMissingAreZeros) {
  for (const DType type : kComputableTypes) {
    const TileGroup group = TileGroupOf(type);
    const int block = TraitsOf(type)->block_elements;
    for (const int64_t rows : {1, 15, 16, 17, 31}) {
      const int64_t depth = group.depth + block;
      Packed p(type, rows, depth);
      ASSERT_TRUE(p.Pack());
      const TiledMatrix& tiles = p.tiles();
      const int64_t groups = tiles.tile_bytes / group.bytes;
      for (int64_t r = 0; r < 16 * tiles.tiles(); ++r) {
        const int64_t first = r < rows ? depth : 0;
        for (int64_t k = first; k < groups * group.depth; ++k) {
          ASSERT_EQ(ReadEntry(tiles, r, k), Entry{}) << About(type, r, k);
        }
      }
    }
  }
}

TEST(TilesTest, ThePaddingOfQ6_KIsZeros) {
  for (const int64_t rows : {16, 17}) {
    Packed p(DType::kQ6_K, rows, 512);
    ASSERT_TRUE(p.Pack());
    const int64_t bytes = TileGroupOf(DType::kQ6_K).bytes;
    for (int64_t at = 0; at < p.tiles().bytes(); at += bytes) {
      for (int i = 32; i < 64; ++i) {
        ASSERT_EQ(p.tiles().data[at + i], std::byte{0}) << at << " " << i;
      }
    }
  }
}

TEST(TilesTest, TilesPackedOneByOneAreTheSame) {
  for (const DType type : kComputableTypes) {
    Packed whole(type, 40, 512), parts(type, 40, 512);
    ASSERT_TRUE(whole.Pack());
    for (const int64_t t : {2, 0, 1}) ASSERT_TRUE(parts.Pack({t, t + 1}));
    EXPECT_EQ(parts.Copy(), whole.Copy()) << NameOf(type);
  }
}

TEST(TilesTest, ANumberOrScaleThatIsNotFiniteIsRefusedWhereverItStands) {
  for (const DType type : kComputableTypes) {
    const size_t block = static_cast<size_t>(TraitsOf(type)->block_bytes);
    for (const size_t i : ExponentBytes(type)) {
      Packed p(type, 17, 512);
      const size_t end = static_cast<size_t>(p.matrix().bytes());
      // The first block, one in the middle and the last.
      for (const size_t at :
           {size_t{0}, end / block / 2 * block, end - block}) {
        std::byte* number = p.bytes() + at + i;
        const std::byte before[2] = {number[-1], number[0]};
        number[0] |= std::byte{0x7F};
        number[-1] |= std::byte{0x80};  // the exponent's last bit of BF16, F32
        EXPECT_FALSE(p.Pack()) << NameOf(type) << " byte " << at + i;
        number[-1] = before[0];
        number[0] = before[1];
        EXPECT_TRUE(p.Pack()) << NameOf(type);
      }
    }
  }
}

}  // namespace
}  // namespace aio
