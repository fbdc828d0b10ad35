// SPDX-License-Identifier: Apache-2.0
//
// Products of nested weights in both views against double precision, and
// against the types they are made of, on every instruction set of this machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/matmul.h"
#include "kernels/matmul_fixture.h"
#include "kernels/reference.h"
#include "kernels/target.h"
#include "tensor/block_codes.h"
#include "tensor/nest.h"

namespace aio::kernels {
namespace {

using Rows = std::vector<std::vector<float>>;

constexpr Nest kKinds[] = {Nest::kK, Nest::k8};

// A nested matrix of random numbers, or of `edges`: all codes at the ends of
// their range.
class Matrix {
 public:
  Matrix(Nest nest, int64_t rows, int64_t depth, bool edges = false) {
    const DType type = nest == Nest::kK ? DType::kQ4_K : DType::kQ8_0;
    const auto row_bytes = static_cast<int64_t>(BytesFor(type, depth));
    bytes_.resize(static_cast<size_t>(rows * row_bytes));
    fine_.resize(static_cast<size_t>(rows * depth / 2));
    view_ = {type, bytes_.data(), rows, depth, row_bytes, nest, nullptr};
    for (int64_t r = 0; r < rows; ++r) {
      std::vector<float> values(static_cast<size_t>(depth));
      for (size_t k = 0; k < values.size(); ++k) {
        values[k] = Number(static_cast<uint64_t>(r) + 1, k);
        if (edges) values[k] = (static_cast<int64_t>(k) % 7 == r) ? -1 : 1;
      }
      EncodeRow(type, values, RowBytes(r));
      if (nest == Nest::kK) PutFine(values, r, edges);
    }
    if (nest == Nest::kK) {
      view_.fine = reinterpret_cast<const std::byte*>(fine_.data());
    }
    tiled_ = Pack(view_, &tiles_);
    plain_ = view_;
    plain_.nest = Nest::kNone;
    plain_tiled_ = Pack(plain_, &plain_tiles_);
  }

  const TiledMatrix& tiled() const { return tiled_; }
  // The same as the type that it is made of.
  const TiledMatrix& plain() const { return plain_tiled_; }

  // As the codec reads it.
  Rows Values(bool fine) const {
    Rows rows;
    for (int64_t r = 0; r < view_.rows; ++r) {
      rows.emplace_back(static_cast<size_t>(view_.depth));
      float* out = rows.back().data();
      const int64_t count = TraitsOf(view_.type)->block_elements;
      for (int64_t k = 0; k < view_.depth; k += count) {
        const std::byte* block =
            view_.Row(r) + k / count * TraitsOf(view_.type)->block_bytes;
        Dequantize(block, r, k, fine, out + k);
      }
    }
    return rows;
  }

 private:
  std::span<std::byte> RowBytes(int64_t r) {
    return std::span(bytes_).subspan(static_cast<size_t>(r * view_.row_bytes),
                                     static_cast<size_t>(view_.row_bytes));
  }
  void PutFine(const std::vector<float>& values, int64_t r, bool edges) {
    for (size_t k = 0; k < values.size(); k += kSuperBlockElements) {
      BlockQ4_K block;
      std::memcpy(&block, RowBytes(r).data() + k / 256 * 144, sizeof(block));
      uint8_t* fine = &fine_[(static_cast<size_t>(r) * values.size() + k) / 2];
      FineCodes(values.data() + k, block, fine);
      if (edges) std::fill_n(fine, kFineBytes, uint8_t{0xFF});
    }
  }
  static TiledMatrix Pack(const WeightMatrix& w,
                          AlignedBuffer<std::byte>* memory) {
    TiledMatrix tiled = TiledShape(w);
    *memory = AlignedBuffer<std::byte>(static_cast<size_t>(tiled.bytes()));
    tiled.data = memory->data();
    std::byte* fine = memory->data() + tiled.high_bytes();
    if (w.nest != Nest::kNone) tiled.fine = fine;
    EXPECT_TRUE(PackTiles(w, {0, tiled.tiles()}, memory->data(), fine));
    return tiled;
  }
  void Dequantize(const std::byte* bytes, int64_t row, int64_t k, bool fine,
                  float* out) const {
    if (view_.nest == Nest::kK && fine) {
      BlockQ4_K block;
      std::memcpy(&block, bytes, sizeof(block));
      return DequantizeFine(
          block, &fine_[static_cast<size_t>(row * view_.depth + k) / 2], out);
    }
    if (view_.nest == Nest::k8 && !fine) {
      BlockQ8_0 block;
      std::memcpy(&block, bytes, sizeof(block));
      return DequantizeCoarse(block, out);
    }
    DequantizeBlock(view_.type, bytes, out);
  }

  std::vector<std::byte> bytes_;
  std::vector<uint8_t> fine_;
  WeightMatrix view_, plain_;
  AlignedBuffer<std::byte> tiles_, plain_tiles_;
  TiledMatrix tiled_, plain_tiled_;
};

std::vector<float> Product(const TiledMatrix& w, const Activations& x) {
  std::vector<float> y(static_cast<size_t>(x.columns * w.rows));
  QuantizeColumns(x, {0, x.columns});
  MatMul(w, x, {0, w.rows}, y.data(), w.rows);
  return y;
}

double Dot(const std::vector<float>& row, const float* x) {
  double sum = 0;
  for (size_t k = 0; k < row.size(); ++k) sum += double{row[k]} * x[k];
  return sum;
}

// As matmul_test.cc's; a weight and the minimum of its block may each be near
// two.
double Tolerance(int64_t depth) {
  return static_cast<double>(depth) * 8 * 0x1p-24 *
         std::sqrt(static_cast<double>(depth) + 1) * 4;
}

void ExpectMatchesReference(const Matrix& w, int columns, int fine) {
  const int64_t depth = w.tiled().depth, rows = w.tiled().rows;
  ActivationBuffer buffer = Columns(columns, depth, true);
  const Activations x = buffer.View(columns, fine);
  const std::vector<float> y = Product(w.tiled(), x);
  const Rows views[2] = {w.Values(false), w.Values(true)};
  for (int c = 0; c < columns; ++c) {
    for (int64_t r = 0; r < rows; ++r) {
      const auto& row = views[c < fine][static_cast<size_t>(r)];
      ASSERT_NEAR(y[static_cast<size_t>(c * rows + r)], Dot(row, x.Values(c)),
                  Tolerance(depth))
          << "depth " << depth << " row " << r << " of " << rows << " column "
          << c << " of " << columns << ", " << fine << " fine";
    }
  }
}

TEST(NestMatMulTest, BothViewsMatchDoublePrecisionOnEveryTarget) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const Nest nest : kKinds) {
      const Matrix w(nest, 37, nest == Nest::kK ? 512 : 96);
      for (const int columns : {1, 2, 3, 8, 9, 17}) {
        for (int fine = 0; fine <= columns; ++fine) {
          ExpectMatchesReference(w, columns, fine);
        }
      }
    }
  });
}

TEST(NestMatMulTest, TakesEveryDepthAndNumberOfRows) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const Nest nest : kKinds) {
      const int64_t block = nest == Nest::kK ? 256 : 32;
      for (int64_t depth = block; depth <= 5 * block; depth += block) {
        ExpectMatchesReference(Matrix(nest, 3, depth), 3, 2);
      }
      for (int64_t rows = 1; rows <= 2 * kTileRows + 1; ++rows) {
        ExpectMatchesReference(Matrix(nest, rows, 256), 3, 1);
      }
    }
  });
}

TEST(NestMatMulTest, SumsTheLargestCodesExactly) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const Nest nest : kKinds) {
      const Matrix w(nest, 7, 256, true);
      for (const float sign : {1.0f, -1.0f}) {
        ActivationBuffer buffer(2, 256);
        const Activations x = buffer.View(2, 1);
        std::fill_n(x.values, 2 * 256, 127.0f * sign);
        const std::vector<float> y = Product(w.tiled(), x);
        for (size_t r = 0; r < 7; ++r) {
          EXPECT_NEAR(y[r], Dot(w.Values(true)[r], x.Values(0)),
                      127 * Tolerance(256));
          EXPECT_NEAR(y[7 + r], Dot(w.Values(false)[r], x.Values(1)),
                      127 * Tolerance(256));
        }
      }
    }
  });
}

TEST(NestMatMulTest, FourBitsOfKAndEightOf8AreThoseOfTheirTypesToTheBit) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const Nest nest : kKinds) {
      const Matrix w(nest, 73, 768);
      for (const int columns : {1, 3, 8, 13}) {
        ActivationBuffer buffer = Columns(columns, 768, false);
        const int fine = nest == Nest::kK ? 0 : columns;
        EXPECT_EQ(Product(w.tiled(), buffer.View(columns, fine)),
                  Product(w.plain(), buffer.View(columns)));
      }
    }
  });
}

// The determinism contract: a column's bits are those that it has alone.
TEST(NestMatMulTest, AColumnHasTheSameBitsBesideAnyOthersOfEitherView) {
  constexpr int kColumns = 19;
  constexpr int64_t kRows = 73, kDepth = 512;
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const Nest nest : kKinds) {
      const Matrix w(nest, kRows, kDepth);
      ActivationBuffer all = Columns(kColumns, kDepth, false);
      std::vector<std::vector<float>> alone[2];
      for (int c = 0; c < kColumns; ++c) {
        for (const int fine : {0, 1}) {
          ActivationBuffer one(1, kDepth);
          std::copy_n(all.View().Values(c), kDepth, one.View().values);
          alone[fine].push_back(Product(w.tiled(), one.View(1, fine)));
        }
      }
      for (int fine = 0; fine <= kColumns; ++fine) {
        const auto y = Product(w.tiled(), all.View(kColumns, fine));
        for (int c = 0; c < kColumns; ++c) {
          const auto& want = alone[c < fine][static_cast<size_t>(c)];
          ASSERT_EQ(std::memcmp(y.data() + c * kRows, want.data(),
                                want.size() * sizeof(float)),
                    0)
              << "column " << c << ", " << fine << " fine";
        }
      }
    }
  });
}

TEST(NestMatMulTest, AnOutputHasTheSameBitsOnEveryTargetThatFuses) {
  for (const Nest nest : kKinds) {
    const Matrix w(nest, 33, 512);
    std::vector<float> first;
    ForEachTarget([&](std::string_view target) {
      if (target == "SCALAR") return;  // multiplies, then adds
      ActivationBuffer buffer = Columns(5, 512, false);
      const auto y = Product(w.tiled(), buffer.View(5, 2));
      if (first.empty()) first = y;
      EXPECT_EQ(y, first) << target;
    });
  }
}

// Ordinary weights are the same in either view.
TEST(NestMatMulTest, OtherWeightsDoNotHeedTheView) {
  const Matrix w(Nest::kK, 33, 512);
  ActivationBuffer buffer = Columns(11, 512, false);
  const auto want = Product(w.plain(), buffer.View(11));
  for (const int fine : {0, 1, 5, 9}) {
    EXPECT_EQ(Product(w.plain(), buffer.View(11, fine)), want);
  }
}

}  // namespace
}  // namespace aio::kernels
