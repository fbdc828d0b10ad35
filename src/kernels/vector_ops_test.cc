// SPDX-License-Identifier: Apache-2.0
#include "kernels/vector_ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/activations.h"
#include "kernels/reference.h"
#include "kernels/target.h"

namespace aio::kernels {
namespace {

std::vector<float> Numbers(size_t n, uint64_t stream, double scale) {
  std::vector<float> v(n);
  for (size_t i = 0; i < n; ++i) {
    v[i] = static_cast<float>(scale * (2 * RandomUnit(3, stream, i) - 1));
  }
  return v;
}

reference::Vector Wide(const float* p, size_t n) {
  return reference::Vector(p, p + n);
}

constexpr size_t kLengthMax = 2 * 16 + 1;

TEST(RmsNormTest, MatchesDoublePrecisionAtEveryLengthAndAlignment) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (size_t n = 1; n <= kLengthMax; ++n) {
      for (size_t skew = 0; skew < 3; ++skew) {
        const auto x = Numbers(n + skew, 1, 3);
        const auto weight = Numbers(n + skew, 2, 2);
        std::vector<float> y(n + skew + 1, -7);
        RmsNorm(x.data() + skew, weight.data() + skew, static_cast<int64_t>(n),
                1e-5f, y.data() + skew);
        const auto want = reference::RmsNorm(
            Wide(x.data() + skew, n), Wide(weight.data() + skew, n), 1e-5f);
        for (size_t i = 0; i < n; ++i) {
          // A sum of n squares, a root, a quotient and two products.
          const double tolerance =
              std::abs(want[i]) * 0x1p-24 * (static_cast<double>(n) + 8);
          ASSERT_NEAR(y[skew + i], want[i], tolerance) << n;
        }
        ASSERT_EQ(y[skew + n], -7) << "written past the end";
      }
    }
  });
}

TEST(RmsNormTest, ZerosStayZeros) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    const std::vector<float> x(40), weight(40, 1.0f);
    std::vector<float> y(40, 1.0f);
    RmsNorm(x.data(), weight.data(), 40, 1e-6f, y.data());
    EXPECT_EQ(y, x);
  });
}

// Parts of columns weighed apart, then the division.
TEST(WeighBlocksTest, WithFactorsItIsTheNorm) {
  constexpr int64_t kColumns = 3, kStride = 5;
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (const int64_t n : {1, 20, 32, 33, 96, 300}) {
      const int64_t blocks = (n + kBlock - 1) / kBlock;
      const auto size = static_cast<size_t>(n);
      const auto weight = Numbers(size, 2, 2);
      std::vector<float> squares(static_cast<size_t>(blocks * kStride), -7);
      std::vector<std::vector<float>> x, y;
      for (int64_t c = 0; c < kColumns; ++c) {
        x.push_back(Numbers(size, 5 + static_cast<uint64_t>(c), 3));
        y.emplace_back(size + 1, -7.0f);
        for (int64_t b = 0; b < blocks; b += 2) {
          const int64_t at = b * kBlock;
          WeighBlocks(x.back().data() + at, weight.data() + at,
                      std::min(n - at, 2 * kBlock), y.back().data() + at,
                      squares.data() + b * kStride + c, kStride);
        }
        EXPECT_EQ(y.back().back(), -7) << "written past the end";
      }
      std::vector<float> factors(kColumns + 1, -7.0f);
      NormFactors(squares.data(), kStride, kColumns, n, 1e-5f, factors.data());
      EXPECT_EQ(factors[kColumns], -7);
      EXPECT_EQ(squares[kColumns], -7);
      for (size_t c = 0; c < kColumns; ++c) {
        const auto want = reference::RmsNorm(Wide(x[c].data(), size),
                                             Wide(weight.data(), size), 1e-5f);
        for (size_t i = 0; i < size; ++i) {
          ASSERT_NEAR(y[c][i] * factors[c], want[i],
                      std::abs(want[i]) * 0x1p-24 * static_cast<double>(n + 8));
        }
      }
    }
  });
}

TEST(SiluGateTest, MatchesDoublePrecisionAtEveryLength) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    for (size_t n = 0; n <= kLengthMax; ++n) {
      const auto gate = Numbers(n, 1, 20);
      const auto up = Numbers(n, 2, 2);
      std::vector<float> y(n + 1, -7);
      SiluGate(gate.data(), up.data(), static_cast<int64_t>(n), y.data());
      for (size_t i = 0; i < n; ++i) {
        const double want = reference::SiluGate(gate[i], up[i]);
        // exp is good to 2 ulp, four more operations.
        ASSERT_NEAR(y[i], want, std::abs(want) * 8 * 0x1p-23 + 1e-37);
      }
      ASSERT_EQ(y[n], -7);
    }
  });
}

TEST(SiluGateTest, LargeInputsSaturate) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    const float gate[] = {-1000, -90, 0, 90, 1000};
    const float up[] = {1, 1, 1, 1, 1};
    float y[5];
    SiluGate(gate, up, 5, y);
    EXPECT_NEAR(y[0], 0, 1e-30);
    EXPECT_NEAR(y[1], 0, 1e-30);
    EXPECT_EQ(y[2], 0);
    EXPECT_EQ(y[3], 90);
    EXPECT_EQ(y[4], 1000);
  });
}

// The determinism contract: threads cut vectors at other places.
TEST(SiluGateTest, AnElementHasTheSameBitsWhereverItIsCut) {
  ForEachTarget([](std::string_view target) {
    SCOPED_TRACE(target);
    const auto gate = Numbers(100, 1, 5);
    const auto up = Numbers(100, 2, 2);
    std::vector<float> whole(100), parts(100);
    SiluGate(gate.data(), up.data(), 100, whole.data());
    for (int64_t cut = 0; cut <= 100; ++cut) {
      SiluGate(gate.data(), up.data(), cut, parts.data());
      SiluGate(gate.data() + cut, up.data() + cut, 100 - cut,
               parts.data() + cut);
      ASSERT_EQ(parts, whole) << cut;
    }
  });
}

TEST(AddToTest, Adds) {
  const auto x = Numbers(33, 1, 1);
  auto y = Numbers(33, 2, 1);
  const auto before = y;
  AddTo(x.data(), 33, y.data());
  for (size_t i = 0; i < 33; ++i) EXPECT_EQ(y[i], before[i] + x[i]);
}

}  // namespace
}  // namespace aio::kernels
