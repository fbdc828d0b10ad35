// SPDX-License-Identifier: Apache-2.0
#include "tensor/tiles.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "tensor/block_codes.h"
#include "tensor/block_formats.h"
#include "tensor/nest.h"

namespace aio {
namespace {

constexpr int kStepBytes = 4 * kTileRows;

bool IsFiniteHalf(uint16_t half) { return (half & 0x7C00) != 0x7C00; }

// Numbers as they are: [depth][16]. `exponent` are the bits that are all set in
// what is not finite.
template <typename Number>
bool PackNumbers(const WeightMatrix& w, int64_t first_row, Number exponent,
                 std::byte* out) {
  // Of depth at a time: 16 rows of them stay in the first-level cache.
  constexpr int64_t kStrip = 64;
  bool finite = true;
  const int64_t rows = std::min<int64_t>(kTileRows, w.rows - first_row);
  for (int64_t begin = 0; begin < w.depth; begin += kStrip) {
    const int64_t end = std::min(begin + kStrip, w.depth);
    for (int64_t r = 0; r < rows; ++r) {
      const std::byte* row = w.Row(first_row + r);
      for (int64_t k = begin; k < end; ++k) {
        Number number;
        std::memcpy(&number, row + k * int64_t{sizeof(Number)}, sizeof(number));
        finite &= (number & exponent) != exponent;
        std::memcpy(out + (k * kTileRows + r) * int64_t{sizeof(Number)},
                    &number, sizeof(number));
      }
    }
  }
  return finite;
}

// A row's 4 bytes of a step, each masked and shifted for itself.
using Bytes4 = uint32_t;
constexpr Bytes4 kEach = 0x01010101;
Bytes4 CodesOfStep(const uint8_t* codes, int step) {
  Bytes4 bytes;
  std::memcpy(&bytes, codes + 4 * step, sizeof(bytes));
  return bytes;
}

// The parts of a block of 32 codes, or of 256, in a tile; `out` is where the
// first row's bytes of each begin, 4 bytes a row.
void PutBytes(const uint8_t* codes, int steps, std::byte* out) {
  for (int i = 0; i < steps; ++i) {
    std::memcpy(out + i * kStepBytes, codes + 4 * i, 4);
  }
}

void PutNibbles(const uint8_t* codes, int steps, std::byte* out) {
  for (int i = 0; i < steps / 2; ++i) {
    const Bytes4 bytes = (CodesOfStep(codes, 2 * i) & kEach * 15) |
                         (CodesOfStep(codes, 2 * i + 1) & kEach * 15) << 4;
    std::memcpy(out + i * kStepBytes, &bytes, sizeof(bytes));
  }
}

// `bits` above the low four of each code, of as many steps as fill a byte.
void PutHighBits(const uint8_t* codes, int bits, std::byte* out) {
  Bytes4 bytes = 0;
  for (int step = 0; step < 8 / bits; ++step) {
    bytes |= (CodesOfStep(codes, step) >> 4 & kEach * 15) << (bits * step);
  }
  std::memcpy(out, &bytes, sizeof(bytes));
}

void PutHalf(uint16_t half, std::byte* out) {
  std::memcpy(out, &half, sizeof(half));
}

// Where the parts of a group of two blocks of 32 begin (see tiles.h).
struct PairLayout {
  int min = 0, fifth = 0, codes = 0;
  bool bytes = false;  // codes are whole bytes
};
PairLayout PairLayoutOf(DType type) {
  const bool min = type == DType::kQ4_1 || type == DType::kQ5_1;
  const bool five = type == DType::kQ5_0 || type == DType::kQ5_1;
  PairLayout layout;
  layout.min = min ? 64 : 0;
  layout.fifth = five ? layout.min + 64 : 0;
  layout.codes = 64 + (min ? 64 : 0) + (five ? 128 : 0);
  layout.bytes = type == DType::kQ8_0;
  return layout;
}

// Row `row` of the tile and block `b` of the group.
void PutPair(const PairLayout& at, const BlockCodes& c, int row, int b,
             std::byte* group) {
  PutHalf(c.scale, group + 32 * b + 2 * row);
  if (at.min > 0) PutHalf(c.min, group + at.min + 32 * b + 2 * row);
  if (at.fifth > 0) {
    PutHighBits(c.codes, 1, group + at.fifth + kStepBytes * b + 4 * row);
  }
  std::byte* codes =
      group + at.codes + (at.bytes ? 8 : 4) * kStepBytes * b + 4 * row;
  at.bytes ? PutBytes(c.codes, 8, codes) : PutNibbles(c.codes, 8, codes);
}

void PutK(DType type, const BlockCodes& c, int row, std::byte* group) {
  PutHalf(c.scale, group + 2 * row);
  PutHalf(c.min, group + 32 + 2 * row);
  uint32_t high = 0;
  for (int b = 0; b < 8; ++b) {
    const int scale = c.scales[b], min = c.mins[b];
    group[64 + kTileRows * b + row] =
        static_cast<std::byte>((scale & 15) | (min & 15) << 4);
    high |= static_cast<uint32_t>(scale >> 4 | min >> 4 << 2) << (4 * b);
  }
  std::memcpy(group + 192 + 4 * row, &high, sizeof(high));
  std::byte* codes = group + 256;
  if (type == DType::kQ5_K) {
    for (int b = 0; b < 8; ++b) {
      PutHighBits(c.codes + 32 * b, 1, codes + kStepBytes * b + 4 * row);
    }
    codes += 8 * kStepBytes;
  }
  PutNibbles(c.codes, 64, codes + 4 * row);
}

void PutQ6_K(const BlockCodes& c, int row, std::byte* group) {
  PutHalf(c.scale, group + 2 * row);
  for (int b = 0; b < 16; ++b) {
    group[64 + kTileRows * b + row] = static_cast<std::byte>(c.scales[b]);
    std::byte* block = group + 320 + 3 * kStepBytes * b + 4 * row;
    PutNibbles(c.codes + 16 * b, 4, block);
    PutHighBits(c.codes + 16 * b, 2, block + 2 * kStepBytes);
  }
}

// The place of the same group or tile in both planes.
struct Planes {
  std::byte* high;
  std::byte* fine;  // null if there is no such plane
};

// The residuals of a block, [128] bytes as in nest.h.
void PutFine(const std::byte* residuals, int row, std::byte* group) {
  uint8_t codes[kSuperBlockElements];
  UnpackFine(residuals, codes);
  PutNibbles(codes, 64, group + 4 * row);
}

// A block of Q8_0 cut in two; its codes become their upper halves.
void PutHalves(BlockCodes* c, int row, int b, const Planes& group) {
  PutNibbles(c->codes, 8, group.fine + 4 * kStepBytes * b + 4 * row);
  for (int i = 0; i < kBlockElements; ++i) c->codes[i] >>= 4;
  PutPair(PairLayoutOf(DType::kQ4_0), *c, row, b, group.high);
}

// Block `b` of the group and row `row` of the tile.
void Put(DType type, const BlockCodes& c, int row, int b, std::byte* group) {
  switch (type) {
    case DType::kQ6_K:
      return PutQ6_K(c, row, group);
    case DType::kQ4_K:
    case DType::kQ5_K:
      return PutK(type, c, row, group);
    default:
      return PutPair(PairLayoutOf(type), c, row, b, group);
  }
}

// `blocks` of `rows`, which share a group, whose lines stay in the first-level
// cache while each row puts four bytes into every one.
bool PackGroup(const WeightMatrix& w, Range rows, Range blocks,
               const Planes& group) {
  const int64_t block_bytes = TraitsOf(w.type)->block_bytes;
  bool finite = true;
  BlockCodes c;
  c.min = 0;  // of types that have none
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const auto r = static_cast<int>(row - rows.begin);
    for (int64_t b = blocks.begin; b < blocks.end; ++b) {
      const auto at = static_cast<int>(b - blocks.begin);
      UnpackBlock(w.type, w.Row(row) + b * block_bytes, &c);
      finite &= IsFiniteHalf(c.scale) && IsFiniteHalf(c.min);
      if (w.nest == Nest::k8) {
        PutHalves(&c, r, at, group);
        continue;
      }
      Put(w.type, c, r, at, group.high);
      if (w.nest == Nest::kK) {
        PutFine(w.fine + row * (w.depth / 2) + b * kFineBytes, r, group.fine);
      }
    }
  }
  return finite;
}

// Asks for memory that will be read soon.
void Fetch(const std::byte* p, int64_t bytes) {
  for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(p + at);
}

bool PackBlocks(const WeightMatrix& w, int64_t first_row, Planes out) {
  const bool nested = w.nest != Nest::kNone;
  const TileGroup group = nested ? HighGroupOf(w.nest) : TileGroupOf(w.type);
  const int64_t fine_bytes = nested ? FineGroupOf(w.nest).bytes : 0;
  const int block = TraitsOf(w.type)->block_elements;
  const int64_t blocks = w.depth / block, per_group = group.depth / block;
  const Range rows = {first_row, std::min(first_row + kTileRows, w.rows)};
  // The rows of a tile lie one after another in the file and are read side by
  // side, which no hardware foresees: the next tile's are asked for meanwhile.
  const bool ahead = first_row + 2 * kTileRows <= w.rows;
  const int64_t slice = w.row_bytes * kTileRows / (blocks / per_group + 1);
  const std::byte* next = ahead ? w.Row(first_row + kTileRows) : w.data;
  bool finite = true;
  for (int64_t b = 0; b < blocks; b += per_group) {
    if (ahead) Fetch(next + b / per_group * slice, slice);
    finite &= PackGroup(w, rows, {b, std::min(b + per_group, blocks)}, out);
    out.high += group.bytes;
    out.fine += fine_bytes;
  }
  return finite;
}

bool PackTile(const WeightMatrix& w, int64_t first_row, const Planes& out) {
  switch (w.type) {
    case DType::kF32:
      return PackNumbers<uint32_t>(w, first_row, 0x7F800000, out.high);
    case DType::kF16:
      return PackNumbers<uint16_t>(w, first_row, 0x7C00, out.high);
    case DType::kBF16:
      return PackNumbers<uint16_t>(w, first_row, 0x7F80, out.high);
    default:
      return PackBlocks(w, first_row, out);
  }
}

}  // namespace

TileGroup TileGroupOf(DType type) {
  switch (type) {
    case DType::kF32:
      return {2, 128};
    case DType::kF16:
    case DType::kBF16:
      return {2, 64};
    case DType::kQ8_0:
      return {64, 1088};
    case DType::kQ4_0:
      return {64, 576};
    case DType::kQ4_1:
      return {64, 640};
    case DType::kQ5_0:
      return {64, 704};
    case DType::kQ5_1:
      return {64, 768};
    case DType::kQ4_K:
      return {256, 2304};
    case DType::kQ5_K:
      return {256, 2816};
    case DType::kQ6_K:
      return {256, 3392};
    default:
      CHECK(IsComputable(type));
      return {};
  }
}

TileGroup HighGroupOf(Nest nest) {
  CHECK(nest != Nest::kNone);
  return TileGroupOf(nest == Nest::kK ? DType::kQ4_K : DType::kQ4_0);
}

TileGroup FineGroupOf(Nest nest) {
  CHECK(nest != Nest::kNone);
  const int depth = HighGroupOf(nest).depth;
  return {depth, depth / 2 * kTileRows};
}

TiledMatrix TiledShape(const WeightMatrix& w) {
  TiledMatrix m;
  m.type = w.type;
  m.rows = w.rows;
  m.depth = w.depth;
  m.nest = w.nest;
  const bool nested = w.nest != Nest::kNone;
  if (nested) m.type = w.nest == Nest::kK ? DType::kQ4_K : DType::kQ8_0;
  const TileGroup group = nested ? HighGroupOf(w.nest) : TileGroupOf(w.type);
  const int64_t groups = (w.depth + group.depth - 1) / group.depth;
  m.tile_bytes = groups * group.bytes;
  m.fine_tile_bytes = nested ? groups * FineGroupOf(w.nest).bytes : 0;
  return m;
}

bool PackTiles(const WeightMatrix& w, Range tiles, std::byte* out,
               std::byte* fine) {
  const TiledMatrix shape = TiledShape(w);
  CHECK(w.nest == Nest::kNone || w.type == shape.type);
  const bool gaps = w.depth % TileGroupOf(w.type).depth != 0;
  bool finite = true;
  for (int64_t t = tiles.begin; t < tiles.end; ++t) {
    // Only the last tile and the last group may have gaps.
    if ((t + 1) * kTileRows > w.rows || gaps) {
      std::memset(out, 0, static_cast<size_t>(shape.tile_bytes));
      if (w.nest != Nest::kNone) {
        std::memset(fine, 0, static_cast<size_t>(shape.fine_tile_bytes));
      }
    } else if (w.type == DType::kQ6_K) {
      const int64_t group = TileGroupOf(w.type).bytes;
      for (int64_t at = 0; at < shape.tile_bytes; at += group) {
        std::memset(out + at + 32, 0, 32);  // the padding
      }
    }
    finite &= PackTile(w, t * kTileRows, {out, fine});
    out += shape.tile_bytes;
    fine += shape.fine_tile_bytes;
  }
  return finite;
}

}  // namespace aio
