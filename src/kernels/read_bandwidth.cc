// SPDX-License-Identifier: Apache-2.0
#include "kernels/read_bandwidth.h"

#include "base/check.h"
#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/read_bandwidth.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/highway-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kLineWords = 8;
constexpr int64_t kLines = 8;  // a turn of the loop
constexpr int64_t kTurnWords = kLineWords * kLines;
// 4 KiB: the best of 1 to 8 KiB where it helps at all.
constexpr int64_t kAheadWords = 512;

HWY_INLINE void PrefetchPastCaches(const uint64_t* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p, /*rw=*/0, /*locality=*/0);
#else
  (void)p;
#endif
}

// Four sums, so that no load waits for an addition.
template <bool kPrefetch, class D>
HWY_INLINE uint64_t Sum(D d, const uint64_t* p, int64_t count) {
  const auto step = static_cast<int64_t>(hn::Lanes(d));
  auto a = hn::Zero(d), b = a, c = a, e = a;
  int64_t i = 0;
  for (; i + kTurnWords <= count; i += kTurnWords) {
    if constexpr (kPrefetch) {
      for (int64_t j = 0; j < kTurnWords; j += kLineWords) {
        PrefetchPastCaches(p + i + j + kAheadWords);
      }
    }
    for (int64_t j = i; j < i + kTurnWords; j += 4 * step) {
      a = hn::Add(a, hn::Load(d, p + j));
      b = hn::Add(b, hn::Load(d, p + j + step));
      c = hn::Add(c, hn::Load(d, p + j + 2 * step));
      e = hn::Add(e, hn::Load(d, p + j + 3 * step));
    }
  }
  // Lane by lane: sums wrap, and GCC's own sum of lanes is a signed one.
  HWY_ALIGN uint64_t lanes[HWY_MAX_BYTES / sizeof(uint64_t)];
  hn::Store(hn::Add(hn::Add(a, b), hn::Add(c, e)), d, lanes);
  uint64_t sum = 0;
  for (int64_t lane = 0; lane < step; ++lane) sum += lanes[lane];
  for (; i < count; ++i) sum += p[i];
  return sum;
}

uint64_t SumHalfVectors(const uint64_t* p, int64_t count) {
  return Sum<false>(hn::CappedTag<uint64_t, 4>(), p, count);
}
uint64_t SumVectors(const uint64_t* p, int64_t count) {
  return Sum<false>(hn::ScalableTag<uint64_t>(), p, count);
}
uint64_t SumPrefetched(const uint64_t* p, int64_t count) {
  return Sum<true>(hn::ScalableTag<uint64_t>(), p, count);
}

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aio::kernels {
namespace {

constexpr size_t kLine = 64 / sizeof(uint64_t);

size_t WordsOf(int64_t bytes) {
  CHECK(bytes > 0);
  return (static_cast<size_t>(bytes) + 63) / 64 * kLine;
}

}  // namespace

HWY_EXPORT(SumHalfVectors);
HWY_EXPORT(SumVectors);
HWY_EXPORT(SumPrefetched);

uint64_t SumWords(int loop, const uint64_t* words, int64_t count) {
  switch (loop) {
    case 0:
      return HWY_DYNAMIC_DISPATCH(SumHalfVectors)(words, count);
    case 1:
      return HWY_DYNAMIC_DISPATCH(SumVectors)(words, count);
    default:
      return HWY_DYNAMIC_DISPATCH(SumPrefetched)(words, count);
  }
}

ReadBandwidth::ReadBandwidth(ThreadPool* pool, int64_t bytes)
    : pool_(pool),
      buffer_(WordsOf(bytes), AlignedBuffer<uint64_t>::kNothing),
      sums_(static_cast<size_t>(pool->threads()) * kLine) {
  // Written, and by whom it is read: memory that was not is all one page.
  pool_->Run([&](int thread) {
    const Range mine = Share(words(), thread, pool_->threads(), kLine);
    for (int64_t i = mine.begin; i < mine.end; ++i) {
      buffer_[static_cast<size_t>(i)] = static_cast<uint64_t>(i);
    }
  });
}

void ReadBandwidth::Read(int loop) {
  pool_->Run([&](int thread) {
    const Range mine = Share(words(), thread, pool_->threads(), kLine);
    sums_[static_cast<size_t>(thread) * kLine] =
        SumWords(loop, buffer_.data() + mine.begin, mine.size());
  });
  for (size_t i = 0; i < sums_.size(); i += kLine) check_ += sums_[i];
}

}  // namespace aio::kernels
#endif  // HWY_ONCE
