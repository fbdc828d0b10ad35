// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.h"

#include <gtest/gtest.h>

namespace aio {
namespace {

TEST(NearestTest, CountsEachKindOfEditOnce) {
  EXPECT_EQ(EditDistance("listen", "listen"), 0);
  EXPECT_EQ(EditDistance("listen", "listem"), 1);
  EXPECT_EQ(EditDistance("listen", "liste"), 1);
  EXPECT_EQ(EditDistance("listen", "listenn"), 1);
  EXPECT_EQ(EditDistance("listen", "litsen"), 1);  // swapped neighbours
  EXPECT_EQ(EditDistance("Listen", "lISTEN"), 0);
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
}

TEST(NearestTest, NamesTheClosest) {
  const std::vector<std::string> names = {"auto", "small", "large"};
  EXPECT_EQ(Nearest("smal", names), "small");
  EXPECT_EQ(Nearest("LARGE", names), "large");
  EXPECT_EQ(Nearest("atuo", names), "auto");
}

TEST(NearestTest, NamesNothingWhenNothingIsClose) {
  EXPECT_EQ(Nearest("gpt-4o-mini", {"auto", "small", "large"}), "");
  EXPECT_EQ(Nearest("small", {}), "");
  EXPECT_EQ(Nearest("", {"auto"}), "");
}

TEST(NearestTest, PrefersTheFirstOfEquals) {
  EXPECT_EQ(Nearest("npu-3b", {"npu-1b", "npu-7b"}), "npu-1b");
}

TEST(NearestTest, EndsAnErrorMessageOnlyIfSomethingIsClose) {
  EXPECT_EQ(DidYouMean("smal", {"small"}), ", did you mean 'small'?");
  EXPECT_EQ(DidYouMean("gpt-4o-mini", {"small"}), "");
}

TEST(NearestTest, CutsLongNamesBeforeComparing) {
  EXPECT_EQ(EditDistance(std::string(1 << 20, 'a'), "a"),
            static_cast<int>(kNameBytesMax) - 1);
}

}  // namespace
}  // namespace aio
