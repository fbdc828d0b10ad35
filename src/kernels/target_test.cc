// SPDX-License-Identifier: Apache-2.0
#include "kernels/target.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

namespace aio::kernels {
namespace {

// Restores what the test's run was started with.
class TargetTest : public testing::Test {
 protected:
  ~TargetTest() override {
    const Result<void> restored = ForceTarget(before_);
    EXPECT_TRUE(restored.has_value());
  }

 private:
  const std::string before_{TargetName()};
};

std::vector<std::string> Targets() {
  std::vector<std::string> names;
  ForEachTarget([&](std::string_view name) { names.emplace_back(name); });
  return names;
}

TEST_F(TargetTest, ForcesEveryTargetTheMachineHas) {
  for (const std::string& name : Targets()) {
    ASSERT_TRUE(ForceTarget(name).has_value()) << name;
    EXPECT_EQ(TargetName(), name);
    EXPECT_EQ(Targets(), std::vector<std::string>{name});
  }
}

TEST_F(TargetTest, ForcingOneTargetDoesNotHideTheOthers) {
  const std::vector<std::string> all = Targets();
  ASSERT_TRUE(ForceTarget(all.back()).has_value());
  EXPECT_TRUE(ForceTarget(all.front()).has_value());
  EXPECT_EQ(TargetName(), all.front());
}

TEST_F(TargetTest, IgnoresCase) {
  std::string name = Targets().back();
  std::transform(name.begin(), name.end(), name.begin(), ::tolower);
  ASSERT_TRUE(ForceTarget(name).has_value());
  EXPECT_EQ(TargetName(), Targets().back());
}

TEST_F(TargetTest, AnUnknownNameListsTheMachinesAndNamesTheNearest) {
  const std::vector<std::string> all = Targets();
  const std::string before(TargetName());
  const Result<void> forced = ForceTarget(all.front() + "x");
  ASSERT_FALSE(forced.has_value());
  EXPECT_EQ(forced.error().code, ErrorCode::kInvalidArgument);
  for (const std::string& name : all) {
    EXPECT_NE(forced.error().message.find(name), std::string::npos) << name;
  }
  EXPECT_NE(forced.error().message.find("did you mean '" + all.front() + "'?"),
            std::string::npos);
  EXPECT_EQ(TargetName(), before);
}

TEST_F(TargetTest, ForEachTargetLeavesTheTargetAsItWas) {
  const std::string before(TargetName());
  Targets();
  EXPECT_EQ(TargetName(), before);
}

}  // namespace
}  // namespace aio::kernels
