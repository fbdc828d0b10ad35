// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/reference.h"
#include "kernels/target.h"
#include "tensor/aligned_buffer.h"

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
      Write(p, k, v);
      keys_.push_back(Rounded(k));
      values_.push_back(Rounded(v));
    }
  }

  void Write(int position, const std::vector<float>& k,
             const std::vector<float>& v) {
    const auto block = static_cast<size_t>(position / kKvBlock);
    std::byte* page = memory_.data() + pages_[block] * page_bytes_;
    WriteKv(shape_, k.data(), v.data(), position % kKvBlock, page,
            page + shape_.key_bytes());
  }
  void Write(int position, const std::vector<float>& both) {
    Write(position, both, both);
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
    return reference::RoundToKv(shape_.kv, {x.begin(), x.end()});
  }

  AttentionShape shape_;
  std::vector<int32_t> pages_;
  int64_t page_bytes_;
  AlignedBuffer<std::byte> memory_;
  std::vector<reference::Vector> keys_, values_;
};

// Columns at `positions`, each with a query of its own; their outputs one after
// another.
std::vector<float> Queries(const AttentionShape& shape,
                           const std::vector<int>& positions) {
  std::vector<float> q;
  for (const int p : positions) {
    const auto one = Vector(shape.head_dim * shape.heads,
                            1 + 50000 * static_cast<uint64_t>(p));
    q.insert(q.end(), one.begin(), one.end());
  }
  return q;
}

std::vector<AttentionColumn> Columns(const AttentionShape& shape,
                                     const std::vector<int>& positions,
                                     const std::vector<float>& q, float* out) {
  std::vector<AttentionColumn> columns;
  int64_t at = 0;
  for (const int p : positions) {
    columns.push_back({q.data() + at, out + at, p});
    at += shape.head_dim * shape.heads;
  }
  return columns;
}

AlignedBuffer<float> Scratch(const AttentionShape& shape) {
  return AlignedBuffer<float>(static_cast<size_t>(AttentionScratch(shape)));
}

std::vector<float> Attended(const AttentionShape& shape,
                            const Sequence& sequence,
                            const std::vector<int>& positions,
                            const std::vector<float>& q) {
  std::vector<float> out(q.size());
  auto scratch = Scratch(shape);
  Attend(shape, sequence.view(), Columns(shape, positions, q, out.data()),
         scratch.data());
  return out;
}

std::vector<float> AttendedBySpans(const AttentionShape& shape,
                                   const Sequence& sequence, int position,
                                   const std::vector<float>& q) {
  std::vector<float> out(q.size());
  auto scratch = Scratch(shape);
  const auto column = Columns(shape, {position}, q, out.data())[0];
  const int64_t floats = SpanFloats(shape);
  AlignedBuffer<float> partials(
      static_cast<size_t>(floats * SpansOf(position)));
  for (int s = SpansOf(position) - 1; s >= 0; --s) {  // in any order
    AttendSpan(shape, sequence.view(), column, s, partials.data() + s * floats,
               scratch.data());
  }
  MergeSpans(shape, partials.data(), column);
  return out;
}

// As bits: a zero's sign counts too.
bool Same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<int32_t> LastPageFirst(int positions) {
  std::vector<int32_t> order(
      static_cast<size_t>((positions + kKvBlock - 1) / kKvBlock));
  std::iota(order.rbegin(), order.rend(), 0);
  return order;
}

AttentionShape ShapeOf(int dim, int heads, KvType kv) {
  return {dim, heads, kv, 1 / std::sqrt(static_cast<float>(dim))};
}

constexpr KvType kTypes[] = {KvType::kF32, KvType::kF16, KvType::kQ8};

// Scores are sums of dim products and round by dim * 2^-24, which exp turns
// into a relative error of weights; the values are below one. Sums over the
// positions round by 2^-24 of what has been summed, each.
double Tolerance(int dim, int position) {
  return (2 * dim + 64 + position) * 0x1p-24;
}

void ExpectMatchesReference(const AttentionShape& shape,
                            const Sequence& sequence, int position) {
  const auto q = Queries(shape, {position});
  const auto out = Attended(shape, sequence, {position}, q);
  ASSERT_TRUE(Same(AttendedBySpans(shape, sequence, position, q), out));
  const auto dim = static_cast<size_t>(shape.head_dim);
  for (size_t h = 0; h < static_cast<size_t>(shape.heads); ++h) {
    const reference::Vector head(q.begin() + static_cast<long>(h * dim),
                                 q.begin() + static_cast<long>((h + 1) * dim));
    const auto want =
        reference::Attend(shape.kv, head, sequence.keys(position),
                          sequence.values(position), double{shape.scale});
    for (size_t i = 0; i < dim; ++i) {
      ASSERT_NEAR(out[h * dim + i], want[i],
                  Tolerance(shape.head_dim, position))
          << "position " << position << " head " << h << "/" << shape.heads;
    }
  }
}

void ExpectMatchesReference(const AttentionShape& shape,
                            const std::vector<int>& positions) {
  SCOPED_TRACE(std::string(NameOf(shape.kv)) + " dim " +
               std::to_string(shape.head_dim));
  const int count = positions.back() + 1;
  const Sequence sequence(shape, count, LastPageFirst(count));
  for (const int p : positions) ExpectMatchesReference(shape, sequence, p);
}

TEST(AttentionTest, MatchesDoublePrecision) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const KvType kv : kTypes) {
      for (const int dim : {2, 8, 34, 40, 64, 80, 96, 128}) {
        for (const int heads : {1, 2, 3, 4, 7, 8, 9}) {
          ExpectMatchesReference(ShapeOf(dim, heads, kv),
                                 {0, 1, 30, 31, 32, 63, 64, 100});
        }
      }
      ExpectMatchesReference(ShapeOf(256, 2, kv), {5, 70});
      for (const int heads : {1, 5}) {
        ExpectMatchesReference(ShapeOf(24, heads, kv),
                               {510, 511, 512, 513, 1023, 1024, 1100});
      }
    }
  });
}

TEST(AttentionTest, LargeScoresDoNotOverflow) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const KvType kv : kTypes) {
      const AttentionShape shape = {16, 2, kv, 1000.0f};
      const Sequence sequence(shape, 600, LastPageFirst(600));
      for (const int p : {69, 599}) {
        for (const float v :
             Attended(shape, sequence, {p}, Queries(shape, {p}))) {
          EXPECT_LE(std::abs(v), 1.01f);
        }
      }
    }
  });
}

TEST(AttentionTest, DoesNotDependOnPagesNorOnWhatLiesBehind) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const KvType kv : kTypes) {
      const AttentionShape shape = {24, 3, kv, 0.2f};
      const auto q = Vector(24 * 3, 1);
      const Sequence exact(shape, 78, {0, 1, 2});  // position 77 is the last
      const Sequence scattered(shape, 78, {9, 3, 5});
      const Sequence longer(shape, 128, {2, 1, 0, 7});
      const auto want = Attended(shape, exact, {77}, q);
      for (const float v : want) ASSERT_TRUE(std::isfinite(v));
      EXPECT_TRUE(Same(Attended(shape, scattered, {77}, q), want));
      EXPECT_TRUE(Same(Attended(shape, longer, {77}, q), want));
    }
  });
}

TEST(AttentionTest, AHeadDoesNotDependOnTheOthers) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const KvType kv : kTypes) {
      const AttentionShape all = {16, 9, kv, 0.25f};
      const AttentionShape one = {16, 1, kv, 0.25f};
      const Sequence sequence(all, 50, {1, 0});
      const auto q = Vector(16 * 9, 1);
      const auto out = Attended(all, sequence, {49}, q);
      for (long h = 0; h < 9; ++h) {
        const std::vector<float> head(q.begin() + h * 16,
                                      q.begin() + (h + 1) * 16);
        EXPECT_TRUE(Same(Attended(one, sequence, {49}, head),
                         {out.begin() + h * 16, out.begin() + (h + 1) * 16}));
      }
    }
  });
}

// Neighbours in one block, across blocks and spans, with gaps, and a whole
// chunk of a prompt.
TEST(AttentionTest, ColumnsTogetherEqualEachAlone) {
  std::vector<int> chunk(100);
  std::iota(chunk.begin(), chunk.end(), 460);
  const std::vector<std::vector<int>> sets = {
      {0, 1, 2}, {3, 9, 30, 31, 32, 33}, {62, 64, 511, 512, 513}, chunk};
  ForEachTarget([&](std::string_view target) {
    SCOPED_TRACE(target);
    for (const KvType kv : kTypes) {
      for (const int heads : {1, 2, 3, 7}) {
        const AttentionShape shape = ShapeOf(40, heads, kv);
        const Sequence sequence(shape, 560, LastPageFirst(560));
        for (const auto& positions : sets) {
          const auto q = Queries(shape, positions);
          std::vector<float> alone;
          for (const int p : positions) {
            const auto one =
                Attended(shape, sequence, {p}, Queries(shape, {p}));
            alone.insert(alone.end(), one.begin(), one.end());
          }
          EXPECT_TRUE(Same(Attended(shape, sequence, positions, q), alone))
              << NameOf(kv) << " heads " << heads << " from " << positions[0];
        }
      }
    }
  });
}

// A later column's infinity is no business of the earlier ones.
TEST(AttentionTest, ColumnsTogetherDoNotReadWhatLaterOnesWrite) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const KvType kv : {KvType::kF32, KvType::kF16}) {
      const AttentionShape shape = ShapeOf(16, 2, kv);
      Sequence sequence(shape, 40, {0, 1});
      const auto q = Queries(shape, {34, 35});
      const auto want = Attended(shape, sequence, {34, 35}, q);
      sequence.Write(35, std::vector<float>(16, INFINITY));
      const auto got = Attended(shape, sequence, {34, 35}, q);
      EXPECT_EQ(std::memcmp(got.data(), want.data(), 2 * 16 * sizeof(float)),
                0);
      EXPECT_FALSE(std::isfinite(got.back()));
    }
  });
}

// The scale of Q8 belongs to one position: a neighbour's outlier changes no
// code of it, and no number at all is no division by zero.
TEST(AttentionTest, Q8ScalesAreOfOnePosition) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    const AttentionShape shape = ShapeOf(40, 1, KvType::kQ8);
    Sequence sequence(shape, 40, {0, 1});
    const auto q = Queries(shape, {7});
    const auto want = Attended(shape, sequence, {7}, q);
    sequence.Write(8, std::vector<float>(40, 1e4f));
    EXPECT_TRUE(Same(Attended(shape, sequence, {7}, q), want));
    for (int p = 0; p <= 7; ++p) sequence.Write(p, std::vector<float>(40));
    for (const float v : Attended(shape, sequence, {7}, q)) EXPECT_EQ(v, 0.0f);
  });
}

}  // namespace
}  // namespace aio::kernels
