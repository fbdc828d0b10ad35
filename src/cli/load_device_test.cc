// SPDX-License-Identifier: Apache-2.0
#include "cli/load_device.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "gguf/gguf.h"
#include "model/random_model.h"

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

// ---- Views ------------------------------------------------------------------

class LoadViewsTest : public LoadDeviceTest {
 protected:
  void AddView(const std::string& name, core::View view) {
    config::Variant variant;
    variant.model = Model();
    variant.view = view;
    variants_.emplace_back(name, variant);
  }
  std::string Refusal() {
    const auto loaded = Load();
    return loaded ? "none" : loaded.error().message;
  }
};

TEST_F(LoadViewsTest, VariantsOfOneFileShareItsWeightsIfOneNamesAView) {
  variants_.emplace_back("twin", variants_[0].second);
  auto loaded = Load();
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->residents.size(), 2u) << "nobody asked for views";
  AddView("tiny@4", core::View::k4);
  AddView("tiny@auto", core::View::kAuto);
  loaded = Load();
  ASSERT_TRUE(loaded);
  ASSERT_EQ(loaded->residents.size(), 1u);
  const auto& views = loaded->residents[0].model.views;
  ASSERT_EQ(views.size(), 4u);
  ASSERT_EQ(loaded->variants.size(), 4u);
  const model::Forward& forward = *loaded->residents[0].model.forward;
  for (size_t i = 0; i < views.size(); ++i) {
    const bool fine = i < 2;  // the file's own precision
    EXPECT_EQ(views[i].variant, variants_[i].first);
    EXPECT_EQ(views[i].view == core::View::k8, fine);
    const core::Variant& variant = loaded->variants[i];
    EXPECT_EQ(variant.name, variants_[i].first);
    EXPECT_EQ(variant.bytes_per_token,
              fine ? forward.weight_bytes() : forward.coarse_weight_bytes());
    EXPECT_EQ(variant.deterministic, i < 3);
  }
  EXPECT_LT(forward.coarse_weight_bytes(), forward.weight_bytes());
  EXPECT_NE(views[1].fingerprint, views[2].fingerprint);
  EXPECT_NE(views[2].fingerprint, views[3].fingerprint);
  EXPECT_TRUE(Said("variant tiny, twin, tiny@4, tiny@auto: ")) << said_;
}

TEST_F(LoadViewsTest, EachKindOfStepIsTimed) {
  device_.step_table = true;
  device_.step_cache = folder_;
  AddView("tiny@4", core::View::k4);
  auto loaded = Load();
  ASSERT_TRUE(loaded);
  EXPECT_TRUE(loaded->residents[0].model.sched.step_table.has_value());
  EXPECT_TRUE(loaded->residents[0].model.coarse_step_table.has_value());
  EXPECT_TRUE(Said("tiny, tiny@4 at 4 bits: a step takes ")) << said_;
  EXPECT_EQ(FilesInFolder(), 3u) << "two tables are kept";
  // Nobody reads 8 bits: no such step is timed.
  variants_.erase(variants_.begin());
  loaded = Load();
  ASSERT_TRUE(loaded);
  EXPECT_FALSE(loaded->residents[0].model.sched.step_table.has_value());
  EXPECT_TRUE(loaded->residents[0].model.coarse_step_table.has_value());
}

TEST_F(LoadViewsTest, WhatCannotBeSharedIsRefusedAndNamed) {
  AddView("tiny@4", core::View::k4);
  variants_[1].second.context_max = 64;
  EXPECT_EQ(Refusal(),
            "variant 'tiny, tiny@4' (" + Model() +
                "): 'tiny@4' is served from the same weights as "
                "'tiny', so 'context_max' must be the same for both");
  variants_[1].second.context_max = 0;
  variants_[0].second.draft = variants_[1].second.draft = "tiny@4";
  EXPECT_NE(Refusal().find("'tiny@4' is served from the same weights"),
            std::string::npos)
      << Refusal();
  variants_[0].second.draft = variants_[1].second.draft = "";
  EXPECT_EQ(Refusal(), "none");
}

TEST_F(LoadViewsTest, AFileOfOnePrecisionHasNoViews) {
  const auto tokenizer = gguf::File::Open(Model());
  ASSERT_TRUE(tokenizer);
  ASSERT_TRUE(model::MakeRandomModel({.type = DType::kQ4_K}, &*tokenizer)
                  .Write(folder_ / "k.gguf"));
  fs::rename(folder_ / "k.gguf", Model());
  ASSERT_EQ(Refusal(), "none");
  AddView("tiny@4", core::View::k4);
  EXPECT_NE(Refusal().find("view: its weights have one precision only"),
            std::string::npos)
      << Refusal();
}

}  // namespace
}  // namespace aio::cli
