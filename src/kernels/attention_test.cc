// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "kernels/reference.h"
#include "kernels/target.h"
#include "tensor/block_formats.h"
#include "tensor/matrix.h"

namespace aio::kernels {
namespace {

float Number(uint64_t stream, uint64_t index) {
  return static_cast<float>(2 * RandomUnit(11, stream, index) - 1);
}

std::vector<float> Vector(int n, uint64_t stream) {
  std::vector<float> v(static_cast<size_t>(n));
  for (size_t i = 0; i < v.size(); ++i) v[i] = Number(stream, i);
  return v;
}

// A sequence's keys and values for one KV head, in pages in a given order;
// whatever is not written is not a number.
class Sequence {
 public:
  Sequence(const AttentionShape& shape, int positions,
           std::vector<int32_t> order)
      : shape_(shape), pages_(std::move(order)) {
    page_bytes_ = (shape.key_bytes() + shape.value_bytes() + 63) / 64 * 64;
    const auto count = *std::max_element(pages_.begin(), pages_.end()) + 1;
    memory_ =
        AlignedBuffer<std::byte>(static_cast<size_t>(count * page_bytes_));
    std::memset(memory_.data(), 0xFF, memory_.size());
    for (int p = 0; p < positions; ++p) {
      const auto k = Vector(shape.head_dim, 100 + 2 * static_cast<uint64_t>(p));
      const auto v = Vector(shape.head_dim, 101 + 2 * static_cast<uint64_t>(p));
      std::byte* page = memory_.data() +
                        pages_[static_cast<size_t>(p / kKvBlock)] * page_bytes_;
      WriteKv(shape, k.data(), v.data(), p % kKvBlock, page,
              page + shape.key_bytes());
      keys_.push_back(Rounded(k));
      values_.push_back(Rounded(v));
    }
  }

  KvPages view() const {
    return {memory_.data(), memory_.data() + shape_.key_bytes(), page_bytes_,
            pages_.data()};
  }
  std::vector<reference::Vector> keys(int position) const {
    return {keys_.begin(), keys_.begin() + position + 1};
  }
  std::vector<reference::Vector> values(int position) const {
    return {values_.begin(), values_.begin() + position + 1};
  }

 private:
  reference::Vector Rounded(const std::vector<float>& x) const {
    reference::Vector y(x.begin(), x.end());
    for (double& v : y) {
      if (shape_.f16) v = F16ToF32(F32ToF16(static_cast<float>(v)));
    }
    return y;
  }

  AttentionShape shape_;
  std::vector<int32_t> pages_;
  int64_t page_bytes_;
  AlignedBuffer<std::byte> memory_;
  std::vector<reference::Vector> keys_, values_;
};

std::vector<float> Attended(const AttentionShape& shape,
                            const Sequence& sequence, int position,
                            const std::vector<float>& q) {
  std::vector<float> out(q.size());
  AlignedBuffer<float> scratch(static_cast<size_t>(AttentionScratch(shape)));
  Attend(shape, sequence.view(), position, q.data(), out.data(),
         scratch.data());
  return out;
}

void ExpectMatchesReference(const AttentionShape& shape, int position) {
  std::vector<int32_t> order(static_cast<size_t>(position / kKvBlock) + 1);
  std::iota(order.rbegin(), order.rend(), 0);  // last page first
  const Sequence sequence(shape, position + 1, order);
  const auto q = Vector(shape.head_dim * shape.heads, 1);
  const auto out = Attended(shape, sequence, position, q);
  const auto dim = static_cast<size_t>(shape.head_dim);
  for (size_t h = 0; h < static_cast<size_t>(shape.heads); ++h) {
    const reference::Vector head(q.begin() + static_cast<long>(h * dim),
                                 q.begin() + static_cast<long>((h + 1) * dim));
    const auto want =
        reference::Attend(head, sequence.keys(position),
                          sequence.values(position), double{shape.scale});
    for (size_t i = 0; i < dim; ++i) {
      // Scores round by dim * 2^-24, which exp turns into a relative error of
      // weights; the values are below one.
      const double tolerance = (2 * static_cast<double>(dim) + 64) * 0x1p-24;
      ASSERT_NEAR(out[h * dim + i], want[i], tolerance)
          << "position " << position << " dim " << dim << " head " << h << "/"
          << shape.heads;
    }
  }
}

TEST(AttentionTest, MatchesDoublePrecision) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const bool f16 : {false, true}) {
      for (const int dim : {2, 8, 16, 34, 64, 128}) {
        for (const int heads : {1, 2, 3, 4, 7, 8}) {
          for (const int position : {0, 1, 30, 31, 32, 63, 64, 100}) {
            ExpectMatchesReference(
                {dim, heads, f16, 1 / std::sqrt(static_cast<float>(dim))},
                position);
          }
        }
      }
    }
  });
}

TEST(AttentionTest, LargeScoresDoNotOverflow) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    const AttentionShape shape = {16, 2, false, 1000.0f};
    const Sequence sequence(shape, 70, {0, 1, 2});
    for (const float v : Attended(shape, sequence, 69, Vector(32, 1))) {
      EXPECT_LE(std::abs(v), 1.0f);
    }
  });
}

TEST(AttentionTest, DoesNotDependOnPagesNorOnWhatLiesBehind) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const bool f16 : {false, true}) {
      const AttentionShape shape = {24, 3, f16, 0.2f};
      const auto q = Vector(24 * 3, 1);
      const Sequence exact(shape, 78, {0, 1, 2});  // position 77 is the last
      const Sequence scattered(shape, 78, {9, 3, 5});
      const Sequence longer(shape, 128, {2, 1, 0, 7});
      const auto want = Attended(shape, exact, 77, q);
      EXPECT_EQ(Attended(shape, scattered, 77, q), want);
      EXPECT_EQ(Attended(shape, longer, 77, q), want);
    }
  });
}

TEST(AttentionTest, AHeadDoesNotDependOnTheOthers) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    const AttentionShape all = {16, 7, true, 0.25f};
    const AttentionShape one = {16, 1, true, 0.25f};
    const Sequence sequence(all, 50, {1, 0});
    const auto q = Vector(16 * 7, 1);
    const auto out = Attended(all, sequence, 49, q);
    for (long h = 0; h < 7; ++h) {
      const std::vector<float> head(q.begin() + h * 16,
                                    q.begin() + (h + 1) * 16);
      EXPECT_EQ(
          Attended(one, sequence, 49, head),
          std::vector<float>(out.begin() + h * 16, out.begin() + (h + 1) * 16));
    }
  });
}

}  // namespace
}  // namespace aio::kernels
