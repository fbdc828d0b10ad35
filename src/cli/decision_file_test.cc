// SPDX-License-Identifier: Apache-2.0
#include "cli/decision_file.h"

#include <gtest/gtest.h>
#include <prometheus/counter.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace aio::cli {
namespace {

namespace fs = std::filesystem;

class DecisionFileTest : public testing::Test {
 protected:
  DecisionFileTest() {
    std::string path = testing::TempDir() + "decisionsXXXXXX";
    root_ = mkdtemp(path.data());
  }
  ~DecisionFileTest() override { fs::remove_all(root_); }
  std::vector<std::string> Lines(const std::string& name) const {
    std::ifstream in(root_ + "/" + name);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  std::unique_ptr<DecisionFile> Open(int64_t bytes_max, size_t lines_max) {
    auto file = DecisionFile::Open({root_ + "/d", "head", bytes_max, lines_max},
                                   &metrics_);
    EXPECT_TRUE(file) << file.error().message;
    return *std::move(file);
  }
  double Lost() {
    return metrics_.Counter("aio_decision_log_lost_total", "")->Value();
  }

  std::string root_;
  Metrics metrics_;
};

TEST_F(DecisionFileTest, EveryStartHasItsHead) {
  Open(1 << 20, 100)->Write("a");
  Open(1 << 20, 100)->Write("b");
  EXPECT_EQ(Lines("d"), (std::vector<std::string>{"head", "a", "head", "b"}));
  EXPECT_EQ(Lost(), 0);
}

// 100 lines of ten bytes in two files of 60 each.
TEST_F(DecisionFileTest, TheNewestAreKept) {
  {
    const auto file = Open(120, 1000);
    for (int i = 100; i < 200; ++i) file->Write("line " + std::to_string(i));
  }
  const auto now = Lines("d"), before = Lines("d.1");
  EXPECT_EQ(now.front(), "head");
  EXPECT_EQ(before.front(), "head");
  EXPECT_EQ(now.back(), "line 199");
  EXPECT_LE(fs::file_size(root_ + "/d"), 60u);
  EXPECT_LE(fs::file_size(root_ + "/d.1"), 60u);
  EXPECT_EQ(std::stoi(before.back().substr(5)) + 1,
            std::stoi(now.at(1).substr(5)))
      << "none between them is missing";
  EXPECT_EQ(fs::exists(root_ + "/d.2"), false);
}

TEST_F(DecisionFileTest, AFullDiskCostsTheLineAndIsCounted) {
  auto file = DecisionFile::Open({"/dev/full", "head"}, &metrics_);
  ASSERT_TRUE(file);
  (*file)->Write("a");
  file->reset();
  EXPECT_EQ(Lost(), 1);
}

TEST_F(DecisionFileTest, WhereNothingCanBeWrittenTheKeyIsNamed) {
  const auto file = DecisionFile::Open({root_ + "/no/d", "head"}, &metrics_);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().param, "log.decisions");
}

}  // namespace
}  // namespace aio::cli
