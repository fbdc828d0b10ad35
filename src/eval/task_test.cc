// SPDX-License-Identifier: Apache-2.0
#include "eval/task.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <vector>

namespace aio::eval {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGood =
    R"({"id": "a", "intent": "qa", "checker": "exact", "prompt": "2+2?", "reference": "4"})";

std::string Gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string ErrorOf(std::string_view text, const char* name = "t.jsonl") {
  const auto tasks = ParseTasks(name, text);
  return tasks ? "" : tasks.error().message;
}

// kGood with one field changed: "checker", "\"exact\"" -> other JSON.
std::string With(const std::string& from, const std::string& to) {
  std::string text = kGood;
  return text.replace(text.find(from), from.size(), to);
}

class FolderTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "tasks-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    folder_ = path;
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  fs::path folder_;
};

TEST(TaskTest, EveryFieldOfOurFormatIsRead) {
  const auto tasks = ParseTasks("t.jsonl", R"(
{"id": "x/1", "intent": "code", "checker": "python-tests", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "ü\n"}], "reference": "assert f() == 1", "prefix": "def f():\n", "entry_point": "f", "max_tokens": 77, "stop": ["\ndef", "\nclass"]}

{"id": "x/2", "intent": "translate", "checker": "contains", "prompt": "p", "reference": "r", "stop": "\n"}
)");
  ASSERT_TRUE(tasks) << tasks.error().message;
  ASSERT_EQ(tasks->size(), 2u);
  const Task& task = tasks->front();
  EXPECT_EQ(task.id, "x/1");
  EXPECT_EQ(task.intent, core::Label::kCode);
  EXPECT_EQ(task.checker, Checker::kPythonTests);
  ASSERT_EQ(task.messages.size(), 2u);
  EXPECT_EQ(task.messages[0].role, core::Role::kSystem);
  EXPECT_EQ(task.messages[1].content, "ü\n");
  EXPECT_EQ(task.reference, "assert f() == 1");
  EXPECT_EQ(task.prefix, "def f():\n");
  EXPECT_EQ(task.entry_point, "f");
  EXPECT_EQ(task.max_tokens, 77);
  EXPECT_EQ(task.stop, (std::vector<std::string>{"\ndef", "\nclass"}));
  const Task& other = tasks->back();
  EXPECT_EQ(other.messages.front().content, "p");
  EXPECT_EQ(other.stop, std::vector<std::string>{"\n"});
  EXPECT_EQ(other.max_tokens, 0);
}

TEST(TaskTest, CheckersAreFoundByTheirNames) {
  for (const char* name :
       {"exact", "number", "choice", "contains", "python-tests", "regex"}) {
    ASSERT_TRUE(CheckerNamed(name));
    EXPECT_EQ(Name(*CheckerNamed(name)), name);
  }
  EXPECT_FALSE(CheckerNamed("Exact"));
}

TEST(TaskTest, AMistypedNameIsAnErrorThatNamesTheNearest) {
  const std::string at = "t.jsonl:1: ";
  EXPECT_EQ(ErrorOf(With("reference", "refrence")),
            at + "unknown field 'refrence', did you mean 'reference'?");
  EXPECT_EQ(ErrorOf(With("\"qa\"", "\"cod\"")),
            at + "field 'intent' is 'cod', did you mean 'code'?");
  EXPECT_EQ(ErrorOf(With("\"exact\"", "\"python-test\"")),
            at + "field 'checker' is 'python-test', did you mean "
                 "'python-tests'?");
  EXPECT_EQ(ErrorOf(With("\"exact\"", "\"zzzzzzzz\"")),
            at + "field 'checker' is 'zzzzzzzz'; it must be exact | number | "
                 "choice | contains | python-tests | regex");
  EXPECT_EQ(ErrorOf(With("\"prompt\": \"2+2?\"",
                         R"("messages": [{"role": "usr", "content": ""}])")),
            at + "field 'role' is 'usr', did you mean 'user'?");
}

TEST(TaskTest, AFieldOfTheWrongTypeIsNamedWithItsLine) {
  const std::string good = std::string(kGood) + "\n\n";
  const auto error = [&](const std::string& from, const std::string& to) {
    std::string text = With("\"a\"", "\"b\"");
    text.replace(text.find(from), from.size(), to);
    return ErrorOf(good + text);
  };
  const std::string at = "t.jsonl:3: ";
  EXPECT_EQ(error("\"b\"", "1"), at + "field 'id' must be a string");
  EXPECT_EQ(error("\"b\"", "\"\""), at + "field 'id' must have 1 to 256 bytes");
  EXPECT_EQ(error("\"b\"", "\"b\\n\""),
            at + "field 'id' has a control character");
  EXPECT_EQ(error("\"4\"", "4"), at + "field 'reference' must be a string");
  EXPECT_EQ(error(", \"reference\": \"4\"", ""),
            at + "field 'reference' is missing");
  EXPECT_EQ(error("\"prompt\": \"2+2?\"", "\"messages\": []"),
            at + "field 'messages' must end with a message of the user");
  EXPECT_EQ(error("\"prompt\": \"2+2?\"", "\"messages\": {}"),
            at + "field 'messages' must be a list");
  EXPECT_EQ(error("\"prompt\": \"2+2?\"", "\"messages\": [1]"),
            at + "field 'messages' must be a list of objects");
  EXPECT_EQ(
      error("\"prompt\": \"2+2?\"", "\"messages\": [{\"role\": \"user\"}]"),
      at + "field 'messages' needs a role and a content in each entry");
  EXPECT_EQ(error("\"prompt\": \"2+2?\", ", ""),
            at + "either 'messages' or 'prompt' must be given");
  EXPECT_EQ(error("}", ", \"entry_point\": \"f\"}"),
            at + "field 'entry_point' goes with checker 'python-tests' only");
  for (const char* bad : {"0", "1.5", "\"9\"", "1000001", "null", "1e999"}) {
    EXPECT_EQ(error("}", std::string(", \"max_tokens\": ") + bad + "}"),
              at + "field 'max_tokens' must be a whole number from 1 to "
                   "1000000");
  }
  EXPECT_EQ(error("}", ", \"stop\": [\"\"]}"),
            at + "field 'stop' has an empty string");
  EXPECT_EQ(error("}", ", \"stop\": 1}"), at + "field 'stop' must be a string");
}

TEST(TaskTest, AReferenceThatNoAnswerCouldMatchIsAnError) {
  const auto error = [](const char* checker, const char* reference) {
    std::string text = With("\"exact\"", std::string("\"") + checker + "\"");
    text.replace(text.rfind("\"4\""), 3, std::string("\"") + reference + "\"");
    return ErrorOf(text);
  };
  const std::string at = "t.jsonl:1: field 'reference' ";
  EXPECT_EQ(error("regex", "a(b"),
            at + "the expression does not compile: missing closing parenthesis "
                 "(at byte 3)");
  EXPECT_EQ(error("number", "four"), at + "is no number: 'four'");
  EXPECT_EQ(error("number", "4 5"), at + "is no number: '4 5'");
  EXPECT_EQ(error("choice", "K"), at + "must be a letter from A to J, not 'K'");
  EXPECT_EQ(error("contains", " \\n "), at + "is empty");
  EXPECT_EQ(error("exact", ""), at + "is empty");
  EXPECT_EQ(error("number", "-1,234.50"), "");
}

TEST(TaskTest, ACutOffLastLineIsSaidToBeOne) {
  const std::string good = kGood;
  const std::string half = good.substr(0, good.size() / 2);
  EXPECT_EQ(ErrorOf(good + "\n" + half),
            "t.jsonl:2: the last line is cut off (not JSON: incomplete JSON); "
            "was it still being written?");
  // A broken line that was ended is broken, not cut off.
  EXPECT_EQ(ErrorOf(good + "\n" + half + "\n"),
            "t.jsonl:2: not JSON: incomplete JSON");
  EXPECT_EQ(ErrorOf(half + "\n" + good),
            "t.jsonl:1: not JSON: incomplete JSON");
  EXPECT_EQ(ErrorOf(good), "");  // whole, though no line end follows
}

TEST(TaskTest, EveryPrefixOfAFileEitherLoadsOrIsAnError) {
  const std::string text =
      std::string(kGood) + "\n" + With("\"a\"", "\"ü\"") + "\n";
  for (size_t size = 0; size < text.size(); ++size) {
    const auto tasks = ParseTasks("t.jsonl", text.substr(0, size));
    EXPECT_EQ(tasks.has_value(), size >= std::string(kGood).size() &&
                                     (size <= std::string(kGood).size() + 1 ||
                                      size + 1 == text.size()))
        << size;
  }
}

TEST(TaskTest, AnIdThatOccursTwiceIsNamedWithBothPlaces) {
  EXPECT_EQ(ErrorOf(std::string(kGood) + "\n\n" + kGood),
            "t.jsonl:3: id 'a' was given at t.jsonl:1 already");
}

TEST(TaskTest, BytesThatAreNoTasksAreErrors) {
  EXPECT_EQ(ErrorOf(""), "t.jsonl: the file is empty");
  EXPECT_EQ(ErrorOf(" \r\n\n"), "t.jsonl: the file is empty");
  EXPECT_EQ(ErrorOf("[]"), "t.jsonl: holds no task");
  EXPECT_EQ(ErrorOf("[1]"), "t.jsonl: entry 1: a task must be a JSON object");
  EXPECT_EQ(ErrorOf("42\n"), "t.jsonl:1: a task must be a JSON object");
  EXPECT_EQ(ErrorOf(With("2+2?", "\xff")),
            "t.jsonl:1: the last line is cut "
            "off (not valid UTF-8); was it still being written?");
  EXPECT_EQ(ErrorOf(With("2+2?", "\xff") + "\n"), "t.jsonl:1: not valid UTF-8");
  EXPECT_EQ(ErrorOf(With("\"2+2?\"", "\"\\ud800\"") + "\n").substr(0, 20),
            "t.jsonl:1: not JSON:");
  EXPECT_NE(ErrorOf(std::string("\x7f"
                                "ELF\0\0",
                                6)),
            "");
  EXPECT_NE(ErrorOf("{\"question\": \"\"}\n"), "");
}

TEST(TaskTest, NestingHasALimit) {
  const std::string deep(100000, '[');
  EXPECT_NE(ErrorOf(deep).find("too deep"), std::string::npos);
  EXPECT_NE(ErrorOf(With("\"4\"", deep) + "\n").find("too deep"),
            std::string::npos);
}

TEST(TaskTest, ALineOrFileThatIsTooLongIsAnError) {
  EXPECT_EQ(ErrorOf(With("2+2?", std::string(kTaskLineBytesMax, 'x')) + "\n"),
            "t.jsonl:1: the line is longer than 4 MiB");
  // A small file that unpacks to a large one.
  EXPECT_EQ(ErrorOf(Gzip(std::string(kTaskFileBytesMax + 1, ' '))),
            "t.jsonl: larger than 256 MiB; split it");
}

TEST(TaskTest, ByteOrderMarksAndCarriageReturnsAreSkipped) {
  const std::string text = "\xEF\xBB\xBF" + std::string(kGood) + "\r\n\r\n" +
                           With("\"a\"", "\"b\"") + "\r\n";
  const auto tasks = ParseTasks("t.jsonl", text);
  ASSERT_TRUE(tasks) << tasks.error().message;
  EXPECT_EQ(tasks->size(), 2u);
}

TEST(TaskTest, AGzipFileIsReadAndItsDamageNoticed) {
  const std::string zipped = Gzip(std::string(kGood) + "\n");
  ASSERT_EQ(ErrorOf(zipped), "");
  EXPECT_EQ(ErrorOf(zipped + Gzip(With("\"a\"", "\"b\""))), "");
  for (size_t size = 2; size < zipped.size(); ++size) {
    EXPECT_EQ(ErrorOf(zipped.substr(0, size)),
              "t.jsonl: the gzip file is cut off");
  }
  std::string damaged = zipped;
  damaged[zipped.size() - 6] ^= 1;  // its check sum
  EXPECT_EQ(ErrorOf(damaged), "t.jsonl: the gzip file is damaged");
}

TEST_F(FolderTest, AFolderIsReadFileByFileInTheOrderOfTheirNames) {
  Write("b.jsonl", With("\"a\"", "\"2\""));
  Write("a.jsonl", With("\"a\"", "\"1\""));
  Write("c.jsonl.gz", Gzip(With("\"a\"", "\"3\"")));
  Write("README.md", "not a task");
  fs::create_directory(folder_ / "deeper.jsonl");
  const auto tasks = LoadTasks(folder_);
  ASSERT_TRUE(tasks) << tasks.error().message;
  ASSERT_EQ(tasks->size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ((*tasks)[i].id, std::to_string(i + 1));
  }
  Write("d.jsonl", kGood);
  Write("e.jsonl", kGood);
  const auto twice = LoadTasks(folder_);
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().message.find("d.jsonl:1 already"), std::string::npos);
}

TEST_F(FolderTest, WhatCannotBeReadIsAnErrorWithItsPath) {
  const auto code = [](const std::string& path) {
    const auto tasks = LoadTasks(path);
    if (tasks) return std::string("loaded");
    EXPECT_TRUE(tasks.error().message.starts_with(path))
        << tasks.error().message;
    return std::string(CodeName(tasks.error().code));
  };
  EXPECT_EQ(code(folder_), "NotFound");  // an empty folder
  EXPECT_EQ(code(folder_ / "none.jsonl"), "NotFound");
  const std::string pipe = folder_ / "pipe.jsonl";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(code(pipe), "InvalidArgument");
  if (geteuid() == 0) return;  // root may read all
  const std::string secret = Write("secret.jsonl", kGood);
  fs::permissions(secret, fs::perms::none);
  EXPECT_EQ(code(secret), "Denied");
}

}  // namespace
}  // namespace aio::eval
