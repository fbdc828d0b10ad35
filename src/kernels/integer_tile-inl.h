// SPDX-License-Identifier: Apache-2.0
//
// A tile of quantized weights times columns of codes. A Format names
//
//   kBits                 of the codes
//   kOffset               the codes carry 2^kOffset too much; -1: nothing
//   kBlocks               blocks of 32 in a group
//   kGroupBytes           of a group
//   kFineBytes            of a group in the second plane; 0: there is none
//   kHalves               scales belong to 16 numbers instead of 32
//   kMin                  numbers have a minimum besides
//   kLightColumns         see tile_pass-inl.h
//   Scales                of a group, made from its first byte:
//     Scale(i)            of block i (of half i, if kHalves)
//     Min(i)              of block i, to be added
//   Steps(planes, block, i, &a, &b)   steps 2i and 2i + 1 of 8, as Bytes
//
// A block's products are summed as integers, exactly, then scaled and added to
// the output's float, block after block.
//
// Per-target include, by Highway's convention.
#if defined(AIO_KERNELS_INTEGER_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AIO_KERNELS_INTEGER_TILE_INL_H_
#undef AIO_KERNELS_INTEGER_TILE_INL_H_
#else
#define AIO_KERNELS_INTEGER_TILE_INL_H_
#endif

#include "kernels/tile_pass-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {

// Where a group lies.
struct Planes {
  const std::byte* group;
  const std::byte* fine;  // if Format::kFineBytes > 0
};

template <class Format>
struct IntegerKernel {
  static constexpr int kGroupBytes = Format::kGroupBytes;
  static constexpr int kBits = Format::kBits;
  static constexpr int kLightColumns = Format::kLightColumns;

  // The columns from a block on: of each array, its place.
  struct Block {
    HWY_INLINE explicit Block(const TileWork& work)
        : codes(work.x.codes + 4 * work.first),
          scales(work.x.scales + work.first),
          minus_sums(work.x.minus_sums + work.first),
          minus_half_sums(work.x.minus_half_sums + work.first),
          scaled_sums(work.x.scaled_sums + work.first) {}
    HWY_INLINE void Next(size_t width) {
      codes += kBlock * width;
      scales += width;
      minus_sums += width;
      minus_half_sums += 2 * width;
      scaled_sums += width;
    }
    const int8_t* codes;
    const float* scales;
    const int32_t* minus_sums;
    const int32_t* minus_half_sums;
    const float* scaled_sums;
  };

  // Of the 4 pairs of steps of block `b` of a group, kPairs from `begin` on.
  template <size_t kColumns, size_t kPairs>
  static HWY_INLINE void Products(const Planes& planes, size_t b, size_t begin,
                                  const int8_t* codes, size_t width,
                                  Sums* sums) {
    for (size_t i = begin; i < begin + kPairs; ++i) {
      Bytes low, high;
      Format::Steps(planes, b, i, &low, &high);
      const Codes<kBits> first(low), second(high);
      const int8_t* x = codes + 8 * width * i;
      for (size_t c = 0; c < kColumns; ++c) {
        sums[c].template Add<kBits>(first, x + 4 * c);
      }
      x += 4 * width;
      for (size_t c = 0; c < kColumns; ++c) {
        sums[c].template Add<kBits>(second, x + 4 * c);
      }
    }
  }

  template <size_t kColumns>
  static HWY_INLINE void Whole(const Planes& planes,
                               const typename Format::Scales& scales, size_t b,
                               const Block& x, size_t width, Floats* out) {
    Sums sums[kColumns];
    for (size_t c = 0; c < kColumns; ++c) {
      sums[c].template Start<kBits, Format::kOffset>(x.minus_sums + c);
    }
    Products<kColumns, 4>(planes, b, 0, x.codes, width, sums);
    const Floats scale = scales.Scale(b);
    for (size_t c = 0; c < kColumns; ++c) {
      out[c] = MulAdd(sums[c].template Finish<kBits>(), Mul(scale, x.scales[c]),
                      out[c]);
    }
    if constexpr (Format::kMin) {
      const Floats min = scales.Min(b);
      for (size_t c = 0; c < kColumns; ++c) {
        out[c] = MulAdd(min, x.scaled_sums[c], out[c]);
      }
    }
  }

  // The same for two scales a block.
  template <size_t kColumns>
  static HWY_INLINE void Halves(const Planes& planes,
                                const typename Format::Scales& scales, size_t b,
                                const Block& x, size_t width, Floats* out) {
    Floats both[kColumns];
    for (size_t c = 0; c < kColumns; ++c) both[c] = ZeroFloats();
    for (size_t half = 0; half < 2; ++half) {
      Sums sums[kColumns];
      for (size_t c = 0; c < kColumns; ++c) {
        sums[c].template Start<kBits, Format::kOffset>(x.minus_half_sums +
                                                       width * half + c);
      }
      Products<kColumns, 2>(planes, b, 2 * half, x.codes, width, sums);
      const Floats scale = scales.Scale(2 * b + half);
      for (size_t c = 0; c < kColumns; ++c) {
        both[c] = MulAdd(sums[c].template Finish<kBits>(), scale, both[c]);
      }
    }
    for (size_t c = 0; c < kColumns; ++c) {
      out[c] = MulAdd(both[c], x.scales[c], out[c]);
    }
  }

  // Of two planes, each half as far ahead; the lines of a whole group at once
  // would be more than a core can wait for.
  static HWY_INLINE void PrefetchBlock(const Planes& planes, size_t b,
                                       int64_t ahead) {
    constexpr int kBlocks = static_cast<int>(Format::kBlocks);
    constexpr int kHigh = kGroupBytes / kBlocks;
    constexpr int kFine = Format::kFineBytes / kBlocks;
    PrefetchGroup<kHigh>(planes.group + ahead + b * kHigh);
    PrefetchGroup<kFine>(planes.fine + ahead + b * kFine);
  }

  template <size_t kColumns>
  static HWY_INLINE void Tile(const TileWork& work, Floats* out) {
    for (size_t c = 0; c < kColumns; ++c) out[c] = ZeroFloats();
    Planes planes = {work.tile, work.fine};
    const size_t width = WidthOf<kColumns>(work);
    Block x(work);
    for (int64_t g = 0; g < work.groups; ++g) {
      if (work.ahead != 0 && Format::kFineBytes == 0) {
        PrefetchGroup<kGroupBytes>(planes.group + work.ahead);
      }
      const typename Format::Scales scales(planes.group);
      for (size_t b = 0; b < Format::kBlocks; ++b, x.Next(width)) {
        if constexpr (Format::kFineBytes > 0) {
          if (work.ahead != 0) PrefetchBlock(planes, b, work.ahead / 2);
        }
        if constexpr (Format::kHalves) {
          Halves<kColumns>(planes, scales, b, x, width, out);
        } else {
          Whole<kColumns>(planes, scales, b, x, width, out);
        }
      }
      planes.group += kGroupBytes;
      planes.fine += Format::kFineBytes;
    }
  }
};

// Steps from nibbles, plus one more bit of each code, of a block's 64 bytes.
HWY_INLINE void NibbleSteps(const std::byte* nibbles, Bytes* a, Bytes* b) {
  const Bytes both = LoadBytes(nibbles);
  *a = LowNibbles(both);
  *b = HighNibbles(both);
}

// Steps 2i and 2i + 1 get their bits 2i and 2i + 1 as the fifth.
HWY_INLINE void AddFifthBits(const Bytes& bits, size_t i, Bytes* a, Bytes* b) {
  switch (i) {
    case 0:
      *a = WithHighBits<4, 16>(*a, bits);
      *b = WithHighBits<3, 16>(*b, bits);
      return;
    case 1:
      *a = WithHighBits<2, 16>(*a, bits);
      *b = WithHighBits<1, 16>(*b, bits);
      return;
    case 2:
      *a = WithHighBits<0, 16>(*a, bits);
      *b = WithHighBits<-1, 16>(*b, bits);
      return;
    default:
      *a = WithHighBits<-2, 16>(*a, bits);
      *b = WithHighBits<-3, 16>(*b, bits);
      return;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
