// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace aio::cli {
namespace {

constexpr const char* kModel = "models/stories260K-F32.gguf";

struct Printed {
  int code;
  std::string out;
  std::string err;
};

Printed Tokenize(std::vector<std::string> arguments) {
  CLI::App app;
  int code = 0;
  AddTokenize(app, &code);
  arguments.insert(arguments.begin(), {"tokenize", "--model"});
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError&) {
    code = 2;
  }
  return {code, testing::internal::GetCapturedStdout(),
          testing::internal::GetCapturedStderr()};
}

class TokenizeTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }
  const std::string& Write(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary) << bytes;
    return path_;
  }
  const std::string path_ =
      testing::TempDir() + "aio_tokenize_" + std::to_string(getpid());
};

TEST_F(TokenizeTest, PrintsTheIdsOfAFileOnOneLineAndNoOthers) {
  EXPECT_EQ(Tokenize({kModel, "--text-file", Write("Once upon a time")}).out,
            "403 407 261 378\n");
  const Printed lines =
      Tokenize({kModel, "--text-file", Write("Once\r\nupon\n")});
  EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), '\n'), 1);
  EXPECT_EQ(Tokenize({kModel, "--text-file", Write("")}).out, "\n");
}

TEST_F(TokenizeTest, BeginsAsTheModelAsksWithSpecial) {
  EXPECT_EQ(Tokenize({kModel, "--text", "Once upon a time", "--special"}).out,
            "1 403 407 261 378\n");
  EXPECT_EQ(Tokenize({kModel, "--text", "</s>", "--special"}).out, "1 2\n");
  EXPECT_NE(Tokenize({kModel, "--text", "</s>"}).out, "2\n");
}

TEST_F(TokenizeTest, EveryByteOfAFileComesBack) {
  std::string bytes;
  for (int i = 0; i < 128; ++i) bytes += static_cast<char>(i);
  bytes += "\u00FC\u4F60\n\n";
  std::string ids = Tokenize({kModel, "--text-file", Write(bytes)}).out;
  EXPECT_EQ(Tokenize({kModel, "--decode", ids}).out, bytes + "\n");
}

TEST_F(TokenizeTest, ShowsPiecesAsJson) {
  EXPECT_EQ(Tokenize({kModel, "--text", "Once", "--json"}).out,
            "{\"count\":1,\"tokens\":[{\"id\":403,\"piece\":\"\u2581Once\"}]}"
            "\n");
}

TEST_F(TokenizeTest, SaysWhatIsWrong) {
  const auto expect_failure = [](const std::vector<std::string>& arguments,
                                 const std::string& word) {
    const Printed run = Tokenize(arguments);
    EXPECT_EQ(run.code, 1);
    EXPECT_EQ(run.out, "");
    EXPECT_NE(run.err.find(word), std::string::npos) << run.err;
  };
  expect_failure({"models/none.gguf", "--text", "a"}, "models/none.gguf");
  expect_failure({"README.md", "--text", "a"}, "README.md");
  expect_failure({kModel, "--text-file", "no-such-file"}, "no-such-file");
  expect_failure({kModel, "--text-file", "models"}, "models");
  expect_failure({kModel, "--decode", "1 2x"}, "2x");
  expect_failure({kModel, "--decode", "512"}, "512");
  EXPECT_EQ(Tokenize({kModel}).code, 2);
  EXPECT_EQ(Tokenize({kModel, "--text", "a", "--decode", "1"}).code, 2);
}

}  // namespace
}  // namespace aio::cli
