// SPDX-License-Identifier: Apache-2.0
#include "base/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "base/atomic_file.h"

namespace aio {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() /
              ("aio-" + std::string(test->name()) + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }

  static std::span<const std::byte> Bytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
  }
  static std::string Read(const std::string& path) {
    auto map = MappedFile::Open(path);
    if (!map) return map.error().message;
    return {reinterpret_cast<const char*>(map->bytes().data()),
            map->bytes().size()};
  }
  size_t FilesInFolder() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder_), {}));
  }

  fs::path folder_;
};

using MappedFileTest = FileTest;
using AtomicFileTest = FileTest;

TEST_F(MappedFileTest, ShowsTheBytesAndSurvivesMoves) {
  std::ofstream(Path("a")) << "hello";
  auto map = MappedFile::Open(Path("a"));
  ASSERT_TRUE(map);
  const std::byte* address = map->bytes().data();
  MappedFile moved = std::move(map).value();
  EXPECT_EQ(moved.bytes().data(), address);
  EXPECT_EQ(moved.bytes().size(), 5u);
  EXPECT_EQ(static_cast<char>(moved.bytes()[4]), 'o');
}

TEST_F(MappedFileTest, AnEmptyFileIsAnEmptySpan) {
  std::ofstream(Path("empty")).flush();
  auto map = MappedFile::Open(Path("empty"));
  ASSERT_TRUE(map);
  EXPECT_TRUE(map->bytes().empty());
}

TEST_F(MappedFileTest, WhatIsNoRegularFileIsRefusedWithoutWaiting) {
  EXPECT_EQ(MappedFile::Open(Path("none")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(MappedFile::Open(folder_).error().code,
            ErrorCode::kInvalidArgument);
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(MappedFile::Open(Path("pipe")).error().code,
            ErrorCode::kInvalidArgument);
}

TEST_F(AtomicFileTest, TheOldFileStaysUntilCommit) {
  std::ofstream(Path("a")) << "old";
  auto file = AtomicFile::Create(Path("a"));
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->Append(Bytes("new ")));
  ASSERT_TRUE(file->Append(Bytes("text")));
  EXPECT_EQ(Read(Path("a")), "old");
  ASSERT_TRUE(file->Commit());
  EXPECT_EQ(Read(Path("a")), "new text");
  EXPECT_EQ(FilesInFolder(), 1u);
}

TEST_F(AtomicFileTest, AnAbandonedFileLeavesNothing) {
  {
    auto file = AtomicFile::Create(Path("a"));
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->Append(Bytes("half")));
    EXPECT_EQ(FilesInFolder(), 1u);
  }
  EXPECT_EQ(FilesInFolder(), 0u);
}

TEST_F(AtomicFileTest, AFullDiskIsAnErrorAndLeavesNothing) {
  // A limit on the size of files stands in for the full disk.
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  Result<void> result;
  {
    auto file = AtomicFile::Create(Path("a"));
    ASSERT_TRUE(file);
    result = file->Append(Bytes(std::string(2000, 'x')));
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(result.error().message.find(Path("a")), std::string::npos);
  EXPECT_EQ(FilesInFolder(), 0u);
}

TEST_F(AtomicFileTest, LeftoversOfTheKilledGoAndFilesBeingWrittenStay) {
  const pid_t child = fork();
  if (child == 0) {
    auto file = AtomicFile::Create(Path("a"));
    if (file && file->Append(Bytes("half"))) kill(getpid(), SIGKILL);
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  auto file = AtomicFile::Create(Path("a"));
  ASSERT_TRUE(file);
  std::ofstream(Path("a.tmp")) << "of somebody else";
  EXPECT_EQ(FilesInFolder(), 3u);
  AtomicFile::RemoveLeftovers(Path("a"));
  EXPECT_EQ(FilesInFolder(), 2u);
  ASSERT_TRUE(file->Commit());
  EXPECT_TRUE(fs::exists(Path("a")));
}

TEST_F(AtomicFileTest, AMissingFolderIsNamed) {
  auto file = AtomicFile::Create(Path("none/a"));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kNotFound);
  EXPECT_NE(file.error().message.find("none/a"), std::string::npos);
}

}  // namespace
}  // namespace aio
