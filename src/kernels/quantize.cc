// SPDX-License-Identifier: Apache-2.0
//
// Activations to codes.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/matmul.h"
#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/quantize.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/highway-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

// Nearest even, and no undefined conversion of what is not a number.
int8_t RoundCode(float x) {
  if (!(x > -128.0f)) return -128;
  if (!(x < 127.0f)) return 127;
  return static_cast<int8_t>(std::nearbyint(x));
}

// Returns max|x|.
float RoundBlock(const float* x, int8_t* codes, int32_t* sums) {
  float largest = 0;
  for (int64_t i = 0; i < kBlock; ++i) {
    largest = std::max(largest, std::fabs(x[i]));
  }
  const float inverse = largest != 0 ? 127.0f / largest : 0.0f;
  sums[0] = sums[1] = 0;
  for (int64_t i = 0; i < kBlock; ++i) {
    codes[i] = RoundCode(x[i] * inverse);
    sums[i / 16] += codes[i];
  }
  return largest;
}

#else

float RoundBlock(const float* HWY_RESTRICT x, int8_t* HWY_RESTRICT codes,
                 int32_t* sums) {
  const hn::CappedTag<float, 16> d;
  const hn::Rebind<int8_t, decltype(d)> bytes;
  const hn::Rebind<int32_t, decltype(d)> words;
  const size_t lanes = hn::Lanes(d);
  auto most = hn::Zero(d);
  for (size_t i = 0; i < kBlock; i += lanes) {
    most = hn::Max(most, hn::Abs(hn::Load(d, x + i)));
  }
  const float largest = hn::GetLane(hn::MaxOfLanes(d, most));
  const auto inverse = hn::Set(d, largest != 0 ? 127.0f / largest : 0.0f);
  for (size_t half = 0; half < 2; ++half) {
    auto sum = hn::Zero(words);
    for (size_t i = 16 * half; i < 16 * half + 16; i += lanes) {
      const auto q = hn::NearestInt(hn::Mul(hn::Load(d, x + i), inverse));
      const auto code = hn::DemoteTo(bytes, q);
      hn::StoreU(code, bytes, codes + i);
      sum = hn::Add(sum, hn::PromoteTo(words, code));
    }
    sums[half] = hn::GetLane(hn::SumOfLanes(words, sum));
  }
  return largest;
}

#endif

void QuantizeBlocksTarget(const Activations& x, int64_t column, Range blocks) {
  const int64_t width = x.Width(column);
  const int64_t at = column - x.First(column);
  const Activations a = x.From(column - at);
  for (int64_t b = blocks.begin; b < blocks.end; ++b) {
    HWY_ALIGN int8_t codes[kBlock];
    int32_t sums[2];
    const float largest =
        RoundBlock(x.Values(column) + b * kBlock, codes, sums);
    int8_t* out = a.codes + b * kBlock * width + 4 * at;
    for (int64_t i = 0; i < kBlock; i += 4) {
      std::memcpy(out + i * width, codes + i, 4);
    }
    const float scale = largest / 127.0f;
    const int64_t i = b * width + at;
    a.scales[i] = scale;
    a.minus_half_sums[i + b * width] = -sums[0];
    a.minus_half_sums[i + (b + 1) * width] = -sums[1];
    a.minus_sums[i] = -(sums[0] + sums[1]);
    a.scaled_sums[i] = scale * static_cast<float>(sums[0] + sums[1]);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aio::kernels {

HWY_EXPORT(QuantizeBlocksTarget);

void QuantizeBlocks(const Activations& x, int64_t column, Range blocks) {
  HWY_DYNAMIC_DISPATCH(QuantizeBlocksTarget)(x, column, blocks);
}

void QuantizeColumns(const Activations& x, Range columns) {
  for (int64_t c = columns.begin; c < columns.end; ++c) {
    // To the padded end: the padding is zeros, whose scale is zero.
    QuantizeBlocks(x, c, {0, x.stride / kBlock});
  }
}

}  // namespace aio::kernels
#endif  // HWY_ONCE
