// SPDX-License-Identifier: Apache-2.0
#include "model/tile_cache.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "model/cpu_forward.h"
#include "model/random_model.h"

namespace aio::model {
namespace {

namespace fs = std::filesystem;

// Words of the header in tile_cache.h.
constexpr size_t kMagic = 0, kFormat = 1, kLayout = 2, kModelBytes = 3,
                 kTable = 8;
constexpr size_t kHeaderBytes = 4096;

RandomModel Description(uint64_t seed = 5) {
  RandomModel m;
  m.type = DType::kQ4_K;
  m.more_bits = true;  // Q6_K too
  m.seed = seed;
  m.vocabulary = 61;
  m.hidden = 256;
  m.layers = 2;
  m.heads = 4;
  m.kv_heads = 2;
  m.head_dim = 64;
  m.feed_forward = 256;
  m.context = 64;
  return m;
}

class TileCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "tilesXXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    Write(Description());
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Model() const { return folder_ / "m.gguf"; }
  std::string Cache() const { return folder_ / "m.gguf.tiles"; }
  void Write(const RandomModel& model) const {
    ASSERT_TRUE(MakeRandomModel(model).Write(Model()));
  }
  size_t FilesInFolder() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder_), {}));
  }

  // The logits of one step with weights by way of `cache`.
  std::vector<float> Logits(const std::string& cache) {
    auto file = gguf::File::Open(Model());
    CHECK(file);
    CpuOptions options;
    options.pool = &pool_;
    options.columns_max = 1;
    options.tiles.cache = cache;
    options.tiles.report = &report_;
    auto forward = LoadCpuForward(*file, options);
    CHECK(forward);
    const std::vector<int32_t> pages = {0};
    const std::vector<Column> columns = {{7, 0, pages, true}};
    (*forward)->Step(columns);
    const auto logits = (*forward)->Logits(0);
    return {logits.begin(), logits.end()};
  }

  std::vector<char> Read() const {
    std::ifstream in(Cache(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void Replace(const std::vector<char>& bytes) const {
    std::ofstream(Cache(), std::ios::binary | std::ios::trunc)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  // A load says `why`, gives the right logits all the same and leaves a file
  // that the next one reads.
  void ExpectPackedAnew(const std::string& why) {
    EXPECT_EQ(Logits(Cache()), expected_);
    EXPECT_FALSE(report_.from_cache);
    ASSERT_EQ(report_.warnings.size(), 1u);
    EXPECT_NE(report_.warnings[0].find(why), std::string::npos)
        << report_.warnings[0];
    EXPECT_NE(report_.warnings[0].find(Cache()), std::string::npos);
    EXPECT_TRUE(report_.kept);
    EXPECT_EQ(Logits(Cache()), expected_);
    EXPECT_TRUE(report_.from_cache);
  }
  // The same with byte `at` of the file changed.
  void ExpectNoticed(size_t at, const std::string& why) {
    SCOPED_TRACE("byte " + std::to_string(at));
    std::vector<char> bytes = Read();
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    Replace(bytes);
    ExpectPackedAnew(why);
  }

  fs::path folder_;
  ThreadPool pool_{2};
  TileReport report_;
  std::vector<float> expected_;
};

TEST_F(TileCacheTest, WhatWasKeptGivesTheSameLogits) {
  expected_ = Logits("");
  EXPECT_FALSE(report_.from_cache || report_.kept);
  EXPECT_EQ(FilesInFolder(), 1u);
  EXPECT_EQ(Logits(Cache()), expected_);
  EXPECT_TRUE(report_.kept && !report_.from_cache);
  EXPECT_EQ(FilesInFolder(), 2u);
  EXPECT_EQ(Logits(Cache()), expected_);
  EXPECT_TRUE(report_.from_cache && !report_.kept);
  EXPECT_TRUE(report_.warnings.empty());
  EXPECT_EQ(fs::file_size(Cache()),
            kHeaderBytes + static_cast<size_t>(report_.bytes));
}

TEST_F(TileCacheTest, AFlippedBitIsNoticedWhereverItIs) {
  expected_ = Logits(Cache());
  const size_t size = Read().size();
  ExpectNoticed(8 * kMagic, "holds no tiles");
  ExpectNoticed(8 * kFormat, "another version");
  ExpectNoticed(8 * kLayout, "another version");
  for (size_t word = kModelBytes; word < kTable; ++word) {
    ExpectNoticed(8 * word + 7, "another model");
  }
  for (size_t word = kTable; word < kTable + 6; ++word) {
    ExpectNoticed(8 * word + 3, "table is damaged");
  }
  ExpectNoticed(kHeaderBytes - 12, "table is damaged");  // filled up
  ExpectNoticed(kHeaderBytes - 1, "table is damaged");   // its checksum
  ExpectNoticed(kHeaderBytes, "tensor blk.0.attn_q.weight is damaged");
  ExpectNoticed(size / 2, "is damaged");
  ExpectNoticed(size - 1, "tensor output.weight is damaged");
}

TEST_F(TileCacheTest, AFileThatIsTooShortOrTooLongIsNoticed) {
  expected_ = Logits(Cache());
  const std::vector<char> whole = Read();
  // Within and behind each word of the header, and of the tiles.
  for (size_t size = 0; size < 8 * (kTable + 7); size += 4) {
    SCOPED_TRACE(size);
    Replace({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)});
    ExpectPackedAnew("ends too early");
  }
  for (const size_t size : {kHeaderBytes, kHeaderBytes + 64, whole.size() - 1,
                            whole.size() + 1, whole.size() + 4096}) {
    SCOPED_TRACE(size);
    std::vector<char> other = whole;
    other.resize(size);
    Replace(other);
    ExpectPackedAnew("another size");
  }
}

TEST_F(TileCacheTest, ATableThatLiesWithTheRightChecksumIsNoticed) {
  expected_ = Logits(Cache());
  for (size_t word = kTable; word < kTable + 5; ++word) {  // up to the offset
    std::vector<char> bytes = Read();
    std::vector<uint64_t> header(kHeaderBytes / 8);
    std::memcpy(header.data(), bytes.data(), kHeaderBytes);
    header[word] = word == kTable ? 1 : uint64_t{1} << 62;
    header.back() = 0;
    for (size_t i = 0; i + 1 < header.size(); ++i) {
      header.back() = Mix(header.back() ^ header[i]);
    }
    std::memcpy(bytes.data(), header.data(), kHeaderBytes);
    Replace(bytes);
    ExpectPackedAnew("of other tensors");
  }
}

TEST_F(TileCacheTest, AModelThatWasWrittenAgainIsNoticed) {
  Logits(Cache());
  const auto when = fs::last_write_time(Model());
  Write(Description(6));
  expected_ = Logits("");
  ExpectPackedAnew("another model");
  // Even if its bytes look the same.
  fs::last_write_time(Model(), when - std::chrono::seconds(1));
  ExpectPackedAnew("another model");
}

TEST_F(TileCacheTest, AFolderOrAPipeInItsPlaceIsLeftAlone) {
  expected_ = Logits("");
  fs::create_directory(Cache());
  EXPECT_EQ(Logits(Cache()), expected_);
  EXPECT_EQ(report_.warnings.size(), 2u);  // neither read nor written
  EXPECT_TRUE(fs::is_directory(Cache()));
  fs::remove(Cache());
  ASSERT_EQ(mkfifo(Cache().c_str(), 0600), 0);
  ExpectPackedAnew("");
}

TEST_F(TileCacheTest, AFolderThatCannotBeWrittenCostsAWarning) {
  expected_ = Logits("");
  EXPECT_EQ(Logits(folder_ / "none" / "m.tiles"), expected_);
  EXPECT_FALSE(report_.kept);
  ASSERT_EQ(report_.warnings.size(), 1u);
  EXPECT_NE(report_.warnings[0].find("not kept"), std::string::npos);
}

TEST_F(TileCacheTest, AFullDiskCostsAWarningAndLeavesNoFile) {
  expected_ = Logits("");
  // A limit on the size of files stands in for the full disk.
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  for (const rlim_t limit : {rlim_t{100}, rlim_t{kHeaderBytes + 5000}}) {
    const rlimit small{limit, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    const std::vector<float> logits = Logits(Cache());
    setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_EQ(logits, expected_);
    EXPECT_FALSE(report_.kept);
    EXPECT_EQ(report_.warnings.size(), 1u);
    EXPECT_EQ(FilesInFolder(), 1u);
  }
  std::signal(SIGXFSZ, handler);
}

TEST_F(TileCacheTest, AKilledWriterLeavesNothingThatIsReadOrStays) {
  expected_ = Logits("");
  const pid_t child = fork();
  if (child == 0) {
    // Writing past the limit kills.
    const rlimit small{kHeaderBytes + 5000, kHeaderBytes + 5000};
    setrlimit(RLIMIT_FSIZE, &small);
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    ThreadPool pool(1);
    auto file = gguf::File::Open(Model());
    CpuOptions options;
    options.pool = &pool;
    options.tiles.cache = Cache();
    const bool loaded = LoadCpuForward(*file, options).has_value();
    _exit(loaded ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(FilesInFolder(), 2u);  // the model and half a file
  EXPECT_FALSE(fs::exists(Cache()));
  EXPECT_EQ(Logits(Cache()), expected_);
  EXPECT_TRUE(report_.kept);
  EXPECT_TRUE(report_.warnings.empty());
  EXPECT_EQ(FilesInFolder(), 2u);
}

TEST_F(TileCacheTest, ProgressEndsWithAllOfTheBytesEitherWay) {
  auto file = gguf::File::Open(Model());
  ASSERT_TRUE(file);
  for (const bool from_cache : {false, true}) {
    CpuOptions options;
    options.pool = &pool_;
    options.tiles.cache = Cache();
    options.tiles.report = &report_;
    int64_t last = 0, all = -1;
    options.tiles.progress = [&](int64_t done, int64_t total) {
      EXPECT_GT(done, last);
      last = done;
      all = total;
    };
    ASSERT_TRUE(LoadCpuForward(*file, options));
    EXPECT_EQ(report_.from_cache, from_cache);
    EXPECT_EQ(last, all);
    EXPECT_EQ(report_.bytes, all);
  }
}

}  // namespace
}  // namespace aio::model
