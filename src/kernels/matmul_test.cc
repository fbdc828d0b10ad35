// SPDX-License-Identifier: Apache-2.0
//
// Matrix products against double precision, on every instruction set of this
// machine.
#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "kernels/reference.h"
#include "kernels/target.h"
#include "tensor/block_formats.h"

namespace aio::kernels {
namespace {

// In [-1, 1).
float Number(uint64_t stream, uint64_t index) {
  return static_cast<float>(2 * RandomUnit(7, stream, index) - 1);
}

// A random matrix, `skew` bytes off alignment, with nothing readable behind it
// (the address sanitizer knows).
class Matrix {
 public:
  Matrix(DType type, int64_t rows, int64_t depth, size_t skew = 0)
      : bytes_(skew + static_cast<size_t>(rows) * BytesFor(type, depth)) {
    const size_t row_bytes = BytesFor(type, depth);
    std::vector<float> values(static_cast<size_t>(depth));
    for (int64_t r = 0; r < rows; ++r) {
      for (size_t k = 0; k < values.size(); ++k) {
        values[k] = Number(static_cast<uint64_t>(r) + 1, k);
      }
      EncodeRow(type, values,
                {bytes_.data() + skew + static_cast<size_t>(r) * row_bytes,
                 row_bytes});
    }
    view_ = {type, bytes_.data() + skew, rows, depth,
             static_cast<int64_t>(row_bytes)};
  }
  const WeightMatrix& view() const { return view_; }

 private:
  std::vector<std::byte> bytes_;
  WeightMatrix view_;
};

// Random columns; with `exact`, ones that int8 codes represent exactly.
ActivationBuffer Columns(int columns, int64_t depth, bool exact) {
  ActivationBuffer buffer(columns, depth);
  const Activations x = buffer.View();
  for (int c = 0; c < columns; ++c) {
    for (int64_t k = 0; k < depth; ++k) {
      const float number =
          Number(1000 + static_cast<uint64_t>(c), static_cast<uint64_t>(k));
      x.Values(c)[k] = !exact             ? number
                       : k % 32 == c % 32 ? 127.0f / 64
                                          : std::round(number * 127) / 64;
    }
  }
  QuantizeColumns(x, {0, columns});
  return buffer;
}

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
                            int columns, size_t skew) {
  const Matrix w(type, rows, depth, skew);
  ActivationBuffer buffer = Columns(columns, depth, true);
  const Activations x = buffer.View();
  const int64_t stride = rows + 3;
  std::vector<float> y(static_cast<size_t>(columns * stride), -77.0f);
  MatMul(w.view(), x, columns, {0, rows}, y.data(), stride);
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

const DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0,
                        DType::kQ4_0};

TEST(MatMulTest, MatchesDoublePrecisionOnEveryTargetAndType) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const DType type : kTypes) {
      for (int columns = 1; columns <= 9; ++columns) {
        ExpectMatchesReference(type, 7, 96, columns, 0);
      }
      ExpectMatchesReference(type, 33, 1024, 17, 0);
    }
  });
}

TEST(MatMulTest, TakesEveryDepthAroundTheVectorLengths) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (int64_t depth = 1; depth <= 2 * 64 + 1; ++depth) {
      for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
        ExpectMatchesReference(type, 3, depth, 2, 0);
      }
    }
    for (int64_t depth = 32; depth <= 9 * 32; depth += 32) {
      for (const DType type : {DType::kQ8_0, DType::kQ4_0}) {
        ExpectMatchesReference(type, 3, depth, 2, 0);
      }
    }
  });
}

TEST(MatMulTest, TakesWeightsAtAnyAddress) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const DType type : kTypes) {
      for (const size_t skew : {1, 2, 3, 33}) {
        ExpectMatchesReference(type, 5, 64, 3, skew);
      }
    }
  });
}

TEST(MatMulTest, TakesEveryNumberOfRows) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const DType type : kTypes) {
      for (int64_t rows = 0; rows <= 9; ++rows) {
        ExpectMatchesReference(type, rows, 64, 1, 0);
        ExpectMatchesReference(type, rows, 64, 8, 0);
      }
    }
  });
}

// The determinism contract, rule a.
TEST(MatMulTest, AnOutputHasTheSameBitsInAnyCall) {
  constexpr int kColumns = 17;
  constexpr int64_t kRows = 41;
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const DType type : kTypes) {
      const int64_t depth = TakesCodes(type) ? 352 : 347;
      const Matrix w(type, kRows, depth);
      ActivationBuffer buffer = Columns(kColumns, depth, false);
      const Activations x = buffer.View();
      std::vector<float> whole(kColumns * kRows);
      MatMul(w.view(), x, kColumns, {0, kRows}, whole.data(), kRows);
      for (int count = 1; count <= kColumns; ++count) {
        for (const int64_t cut : {1, 2, 3, 16, 40}) {
          std::vector<float> parts(whole.size());
          const int first = kColumns - count;
          float* y = parts.data();
          MatMul(w.view(), x.From(first), count, {0, cut}, y, kRows);
          MatMul(w.view(), x.From(first), count, {cut, kRows}, y, kRows);
          ASSERT_EQ(
              std::memcmp(y, whole.data() + first * kRows,
                          static_cast<size_t>(count * kRows) * sizeof(float)),
              0)
              << NameOf(type) << " " << count << " columns, cut at " << cut;
        }
      }
    }
  });
}

TEST(QuantizeTest, CodesAreTheNearestOfTheBlocksScale) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    const int64_t depth = 96;
    ActivationBuffer buffer = Columns(3, depth, false);
    const Activations x = buffer.View();
    for (int64_t k = 32; k < 64; ++k) x.Values(1)[k] = 0;  // a block of zeros
    QuantizeColumns(x, {0, 3});
    // Row k of this matrix is 1 at k: the product is the code times the scales.
    std::vector<std::byte> identity;
    std::vector<float> row(static_cast<size_t>(depth));
    const size_t row_bytes = BytesFor(DType::kQ8_0, depth);
    for (int64_t k = 0; k < depth; ++k) {
      row.assign(row.size(), 0);
      row[static_cast<size_t>(k)] = 127;  // scale 1, code 127
      identity.resize(identity.size() + row_bytes);
      EncodeRow(DType::kQ8_0, row, std::span(identity).last(row_bytes));
    }
    std::vector<float> y(static_cast<size_t>(3 * depth));
    MatMul({DType::kQ8_0, identity.data(), depth, depth,
            static_cast<int64_t>(row_bytes)},
           x, 3, {0, depth}, y.data(), depth);
    for (int c = 0; c < 3; ++c) {
      const reference::Vector want = reference::RoundToCodes(ColumnOf(x, c));
      for (int64_t k = 0; k < depth; ++k) {
        // A value within float rounding of a tie may go either way.
        const double v = y[static_cast<size_t>(c * depth + k)] / 127;
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
    MatMul(w.view(), x, 1, {0, 2}, y, 2);  // any value; no crash
  });
}

}  // namespace
}  // namespace aio::kernels
