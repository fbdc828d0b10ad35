// SPDX-License-Identifier: Apache-2.0
#include "tensor/random_blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "tensor/block_formats.h"

namespace aio {
namespace {

std::vector<std::byte> Draw(DType type, int64_t first, int64_t elements,
                            double spread, uint64_t stream = 3) {
  std::vector<std::byte> bytes(BytesFor(type, elements));
  RandomBlocks(type, spread, 7, stream, first, bytes);
  return bytes;
}

TEST(RandomBlocksTest, HaveTheMeanAndSpreadAskedFor) {
  constexpr size_t kCount = 256 * 400;
  for (const DType type : kComputableTypes) {
    for (const double spread : {1.0, 0.002}) {
      std::vector<float> values(kCount);
      DecodeRow(type, Draw(type, 0, kCount, spread), values);
      double sum = 0, squares = 0;
      std::set<float> different;
      for (const float value : values) {
        sum += value;
        squares += double{value} * value;
        different.insert(value);
      }
      // The mean of so many draws is off by about 0.003 spreads; a block's
      // common sign or min makes it a little worse.
      EXPECT_LE(std::fabs(sum / kCount), 0.02 * spread) << NameOf(type);
      EXPECT_NEAR(std::sqrt(squares / kCount), spread, 0.06 * spread)
          << NameOf(type);
      EXPECT_GT(different.size(), 300u) << NameOf(type);
    }
  }
}

TEST(RandomBlocksTest, ABlockDependsOnItsNumberOnly) {
  for (const DType type : kComputableTypes) {
    const int64_t block = TraitsOf(type)->block_elements;
    const auto whole = Draw(type, 0, 12 * block, 1);
    const auto part = Draw(type, 5, 3 * block, 1);
    const size_t at = BytesFor(type, 5 * block);
    EXPECT_EQ(part, std::vector<std::byte>(whole.begin() + at,
                                           whole.begin() + at + part.size()))
        << NameOf(type);
    EXPECT_NE(Draw(type, 0, 12 * block, 1, 4), whole) << NameOf(type);
  }
}

}  // namespace
}  // namespace aio
