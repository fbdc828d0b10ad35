// SPDX-License-Identifier: Apache-2.0
//
// Matrix products against double precision, on every instruction set of this
// machine.
#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/matmul_fixture.h"
#include "kernels/reference.h"
#include "kernels/target.h"
#include "tensor/block_formats.h"

namespace aio::kernels {
namespace {

// A random matrix in the file's form and in tiles, with nothing readable behind
// them (the address sanitizer knows).
class Matrix {
 public:
  Matrix(DType type, int64_t rows, int64_t depth)
      : bytes_(static_cast<size_t>(rows) * BytesFor(type, depth)) {
    const size_t row_bytes = BytesFor(type, depth);
    std::vector<float> values(static_cast<size_t>(depth));
    for (int64_t r = 0; r < rows; ++r) {
      for (size_t k = 0; k < values.size(); ++k) {
        values[k] = Number(static_cast<uint64_t>(r) + 1, k);
      }
      EncodeRow(
          type, values,
          {bytes_.data() + static_cast<size_t>(r) * row_bytes, row_bytes});
    }
    view_ = {type, bytes_.data(), rows, depth, static_cast<int64_t>(row_bytes)};
    tiled_ = TiledShape(view_);
    tiles_ = AlignedBuffer<std::byte>(static_cast<size_t>(tiled_.bytes()));
    EXPECT_TRUE(PackTiles(view_, {0, tiled_.tiles()}, tiles_.data()));
    tiled_.data = tiles_.data();
  }
  const WeightMatrix& view() const { return view_; }
  const TiledMatrix& tiled() const { return tiled_; }

 private:
  std::vector<std::byte> bytes_;
  AlignedBuffer<std::byte> tiles_;
  WeightMatrix view_;
  TiledMatrix tiled_;
};

reference::Vector ColumnOf(const Activations& x, int c) {
  return reference::Vector(x.Values(c), x.Values(c) + x.depth);
}

// Rounding of a sum of n products of numbers, each product's size at most one:
// partial sums may reach n and each addition rounds.
double Tolerance(int64_t depth) {
  return static_cast<double>(depth) * 2 * 0x1p-24 *
         std::sqrt(static_cast<double>(depth) + 1) * 4;
}

// Columns that the codes represent exactly, so only float sums round.
void ExpectMatchesReference(DType type, int64_t rows, int64_t depth,
                            int columns) {
  const Matrix w(type, rows, depth);
  ActivationBuffer buffer = Columns(columns, depth, true);
  const Activations x = buffer.View();
  const int64_t stride = rows + 3;
  std::vector<float> y(static_cast<size_t>(columns * stride), -77.0f);
  MatMul(w.tiled(), x, {0, rows}, y.data(), stride);
  for (int c = 0; c < columns; ++c) {
    const reference::Vector want = reference::MatVec(w.view(), ColumnOf(x, c));
    for (int64_t r = 0; r < stride; ++r) {
      const float got = y[static_cast<size_t>(c * stride + r)];
      if (r < rows) {
        ASSERT_NEAR(got, want[static_cast<size_t>(r)], Tolerance(depth))
            << NameOf(type) << " depth " << depth << " row " << r << " of "
            << rows << " column " << c << " of " << columns;
      } else {
        ASSERT_EQ(got, -77.0f) << "written past the rows";
      }
    }
  }
}

int64_t BlockOf(DType type) { return TraitsOf(type)->block_elements; }

TEST(MatMulTest, MatchesDoublePrecisionOnEveryTargetAndType) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const DType type : kComputableTypes) {
      for (int columns = 1; columns <= 9; ++columns) {
        ExpectMatchesReference(type, 7, BlockOf(type) == 256 ? 512 : 96,
                               columns);
      }
      ExpectMatchesReference(type, 33, 1024, 17);
    }
  });
}

TEST(MatMulTest, TakesEveryDepthAroundTheGroups) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const DType type : kComputableTypes) {
      const int64_t block = BlockOf(type);
      const int64_t most = block == 1 ? 2 * 64 + 1 : 9 * block;
      for (int64_t depth = block; depth <= most; depth += block) {
        ExpectMatchesReference(type, 3, depth, 2);
      }
    }
  });
}

// What is left to a thread when others have taken all rows.
TEST(MatMulTest, NoRowsAtTheEndAreNoTile) {
  const Matrix w(DType::kQ8_0, 20, 64);
  ActivationBuffer buffer = Columns(1, 64, true);
  std::vector<float> y(20, -77.0f);
  MatMul(w.tiled(), buffer.View(), {20, 20}, y.data(), 20);
  EXPECT_EQ(y, std::vector<float>(20, -77.0f));
}

TEST(MatMulTest, TakesEveryNumberOfRows) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const DType type : kComputableTypes) {
      for (int64_t rows = 0; rows <= 2 * kTileRows + 1; ++rows) {
        ExpectMatchesReference(type, rows, 256, 1);
        ExpectMatchesReference(type, rows, 256, 8);
      }
    }
  });
}

// Codes and scales at the ends of their ranges: what saturates or overflows in
// a kernel's integers shows here.
TEST(MatMulTest, SumsTheLargestCodesExactly) {
  constexpr int64_t kDepth = 256;
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const DType type : kComputableTypes) {
      for (const float sign : {1.0f, -1.0f}) {
        std::vector<std::byte> row(BytesFor(type, kDepth));
        std::vector<float> values(kDepth, sign);
        if (TakesCodes(type)) values[5] = -sign;  // minimum and maximum
        EncodeRow(type, values, row);
        const WeightMatrix w = {type, row.data(), 1, kDepth,
                                static_cast<int64_t>(row.size())};
        TiledMatrix tiled = TiledShape(w);
        AlignedBuffer<std::byte> tiles(static_cast<size_t>(tiled.bytes()));
        ASSERT_TRUE(PackTiles(w, {0, 1}, tiles.data()));
        tiled.data = tiles.data();
        ActivationBuffer buffer(1, kDepth);
        const Activations x = buffer.View();
        std::fill_n(x.Values(0), kDepth, -127.0f);
        QuantizeColumns(x, {0, 1});
        float y = 0;
        MatMul(tiled, x, {0, 1}, &y, 1);
        EXPECT_NEAR(y, reference::MatVec(w, ColumnOf(x, 0))[0],
                    127 * Tolerance(kDepth))
            << NameOf(type);
      }
    }
  });
}

// The determinism contract, rule a.
TEST(MatMulTest, AnOutputHasTheSameBitsInAnyCall) {
  constexpr int kColumns = 17;
  constexpr int64_t kRows = 73;
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const DType type : kComputableTypes) {
      const int64_t block = BlockOf(type);
      const int64_t depth = block == 1 ? 347 : block == 32 ? 352 : 512;
      const Matrix w(type, kRows, depth);
      ActivationBuffer buffer = Columns(kColumns, depth, false);
      std::vector<float> whole(kColumns * kRows);
      MatMul(w.tiled(), buffer.View(), {0, kRows}, whole.data(), kRows);
      for (int count = 1; count <= kColumns; ++count) {
        const Activations x = buffer.View(count);
        QuantizeColumns(x, {0, count});
        for (const int64_t cut : {16, 32, 64}) {
          std::vector<float> parts(static_cast<size_t>(count * kRows));
          MatMul(w.tiled(), x, {0, cut}, parts.data(), kRows);
          MatMul(w.tiled(), x, {cut, kRows}, parts.data(), kRows);
          ASSERT_EQ(std::memcmp(parts.data(), whole.data(),
                                parts.size() * sizeof(float)),
                    0)
              << NameOf(type) << " " << count << " columns, cut at " << cut;
        }
      }
    }
  });
}

TEST(MatMulTest, AColumnsFactorMultipliesItsProducts) {
  constexpr int kColumns = 11;
  constexpr int64_t kRows = 37, kDepth = 256;
  std::vector<float> factors;
  for (uint64_t c = 0; c < kColumns; ++c) factors.push_back(Number(99, c));
  ForEachTarget([&](std::string_view target) {
    SCOPED_TRACE(target);
    for (const DType type : kComputableTypes) {
      const Matrix w(type, kRows, kDepth);
      ActivationBuffer buffer = Columns(kColumns, kDepth, false);
      Activations x = buffer.View();
      std::vector<float> plain(kColumns * kRows), scaled(kColumns * kRows);
      MatMul(w.tiled(), x, {0, kRows}, plain.data(), kRows);
      x.factors = factors.data();
      MatMul(w.tiled(), x, {0, kRows}, scaled.data(), kRows);
      for (size_t i = 0; i < plain.size(); ++i) {
        ASSERT_EQ(scaled[i], plain[i] * factors[i / kRows]) << NameOf(type);
      }
    }
  });
}

// Blocks are exact and scaled with one rounding each, so instruction sets
// agree; so do floats, where each step is one fused multiply-add.
TEST(MatMulTest, AnOutputHasTheSameBitsOnEveryTargetThatFuses) {
  for (const DType type : kComputableTypes) {
    const Matrix w(type, 33, 512);
    std::vector<float> first;
    ForEachTarget([&](std::string_view target) {
      if (target == "SCALAR") return;  // multiplies, then adds
      ActivationBuffer buffer = Columns(3, 512, false);
      std::vector<float> y(3 * 33);
      MatMul(w.tiled(), buffer.View(), {0, 33}, y.data(), 33);
      if (first.empty()) first = y;
      EXPECT_EQ(std::memcmp(y.data(), first.data(), y.size() * sizeof(float)),
                0)
          << NameOf(type) << " on " << target;
    });
  }
}

TEST(QuantizeTest, CodesAreTheNearestOfTheBlocksScale) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    const int64_t depth = 96;
    ActivationBuffer buffer = Columns(3, depth, false);
    const Activations x = buffer.View();
    for (int64_t k = 32; k < 64; ++k) x.Values(1)[k] = 0;  // a block of zeros
    QuantizeColumns(x, {0, 3});
    for (int64_t c = 0; c < 3; ++c) {
      const reference::Vector want =
          reference::RoundToCodes(ColumnOf(x, static_cast<int>(c)));
      for (int64_t k = 0; k < depth; ++k) {
        // A value within float rounding of a tie may go either way.
        const double v =
            x.scales[k / 32 * 3 + c] * x.codes[k / 4 * 12 + 4 * c + k % 4];
        const double step = 1.01 / 127;  // max|x| is below 1
        ASSERT_NEAR(v, want[static_cast<size_t>(k)], 1e-6) << k;
        ASSERT_NEAR(v, x.Values(c)[k], 0.51 * step);
      }
    }
  });
}

TEST(QuantizeTest, SurvivesWhatIsNotANumber) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    ActivationBuffer buffer(1, 64);
    const Activations x = buffer.View();
    x.Values(0)[0] = NAN;
    x.Values(0)[1] = INFINITY;
    x.Values(0)[40] = -INFINITY;
    QuantizeColumns(x, {0, 1});
    const Matrix w(DType::kQ8_0, 2, 64);
    float y[2];
    MatMul(w.tiled(), x, {0, 2}, y, 2);  // any value; no crash
  });
}

}  // namespace
}  // namespace aio::kernels
