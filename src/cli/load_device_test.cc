// SPDX-License-Identifier: Apache-2.0
#include "cli/load_device.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace aio::cli {
namespace {

namespace fs = std::filesystem;

class LoadDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "loadXXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    fs::copy("models/stories260K-Q8_0.gguf", Model());
    device_.step_table = false;
    device_.sequences_max = 1;
    variants_.emplace_back("tiny", config::Variant());
    variants_[0].second.model = Model();
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Model() const { return folder_ / "m.gguf"; }
  size_t FilesInFolder() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder_), {}));
  }
  Result<LoadedDevice> Load() {
    said_.clear();
    return LoadDevice("cpu0", device_, variants_, ReadMachine(), &pool_,
                      [&](const std::string& line) { said_ += line + "\n"; });
  }
  bool Said(const std::string& text) const {
    return said_.find(text) != std::string::npos;
  }

  fs::path folder_;
  config::Device device_;
  std::vector<std::pair<std::string, config::Variant>> variants_;
  ThreadPool pool_{1};
  std::string said_;
};

TEST_F(LoadDeviceTest, WhatDoesNotFitIsRefusedWithNumbersBeforeItIsLoaded) {
  device_.memory_limit = 300'000;
  device_.tile_cache = "auto";
  const auto loaded = Load();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(loaded.error().message.find("293.0 KiB"), std::string::npos)
      << loaded.error().message;
  EXPECT_NE(loaded.error().message.find("tiny"), std::string::npos)
      << loaded.error().message;
  EXPECT_EQ(said_, "");
  EXPECT_EQ(FilesInFolder(), 1u);
}

TEST_F(LoadDeviceTest, EachVariantGetsALineWithBytesSecondsAndRate) {
  ASSERT_TRUE(Load());
  EXPECT_TRUE(Said("variant tiny: 0.3 MB of weights packed in ")) << said_;
  EXPECT_TRUE(Said(" GB/s\n")) << said_;
  EXPECT_EQ(FilesInFolder(), 1u);  // no tiles unless asked for
}

TEST_F(LoadDeviceTest, TilesAreKeptBesideTheModelAndReadAtTheNextStart) {
  device_.tile_cache = "auto";
  ASSERT_TRUE(Load());
  EXPECT_TRUE(Said("weights packed in ")) << said_;
  EXPECT_TRUE(Said("kept in " + Model() + ".tiles")) << said_;
  ASSERT_TRUE(Load());
  EXPECT_TRUE(Said("weights read from " + Model() + ".tiles in ")) << said_;
  EXPECT_FALSE(Said("kept in")) << said_;
  EXPECT_EQ(FilesInFolder(), 2u);
}

TEST_F(LoadDeviceTest, TilesMayBeKeptInAFolderThatIsMade) {
  const fs::path tiles = folder_ / "new" / "tiles";
  device_.tile_cache = tiles;
  ASSERT_TRUE(Load());
  ASSERT_TRUE(Load());
  EXPECT_TRUE(Said("read from " + tiles.string() + "/m.gguf-")) << said_;
  EXPECT_EQ(std::distance(fs::directory_iterator(tiles), {}), 1);
}

TEST_F(LoadDeviceTest, TilesThatCannotBeKeptDoNotStopTheStart) {
  device_.tile_cache = Model() + "/no/folder";
  ASSERT_TRUE(Load());
  EXPECT_TRUE(Said("weights packed in ")) << said_;
  EXPECT_FALSE(Said("kept in")) << said_;
}

}  // namespace
}  // namespace aio::cli
