// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.h"

#include <gtest/gtest.h>

namespace aio {
namespace {

TEST(NearestTest, CountsEditsAndSwapsOfNeighbours) {
  EXPECT_EQ(EditDistance("", ""), 0);
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(EditDistance("lsiten", "listen"), 1);
  EXPECT_EQ(EditDistance("same", "same"), 0);
}

TEST(NearestTest, NamesTheNearestWordTheFirstOfEquals) {
  EXPECT_EQ(Nearest("smal", {"large", "small"}), "small");
  EXPECT_EQ(Nearest("ba", {"aa", "bb"}), "aa");
}

TEST(NearestTest, IsSilentWhenNothingIsNear) {
  EXPECT_EQ(Nearest("gpt-4o", {"small", "large"}), "");
  EXPECT_EQ(Nearest("", {"small"}), "");
  EXPECT_EQ(Nearest(std::string(100000, 'a'), {std::string(100000, 'b')}), "");
  EXPECT_EQ(DidYouMean("gpt-4o", {"small"}), "");
}

TEST(NearestTest, CompletesAnErrorMessage) {
  EXPECT_EQ("unknown key 'lisen'" + DidYouMean("lisen", {"listen"}),
            "unknown key 'lisen', did you mean 'listen'?");
}

}  // namespace
}  // namespace aio
