// SPDX-License-Identifier: Apache-2.0
#include "eval/results_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace aio::eval {
namespace {

namespace fs = std::filesystem;

class ResultsFileTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() /
              (std::string("aio-results-") + test->name() + "-" +
               std::to_string(getpid()));
    fs::create_directories(folder_);
    path_ = (folder_ / "results.jsonl").string();
    header_.tasks_hash = "00000000000000aa";
    header_.tasks = 3;
    header_.fingerprints = {{"small", "fp-small"}, {"large", "fp-large"}};
    header_.settings = {{"max_tokens", "64"}, {"parallel", "1"}};
  }
  void TearDown() override { fs::remove_all(folder_); }

  static Record Make(const std::string& task) {
    Record r;
    r.task = task;
    r.contender = "small";
    r.intent = core::Label::kMath;
    r.right = true;
    r.why = "said \"42\"\nand more";
    r.answer = "größer \xf0\x9f\x8d\xb0 \x01";
    r.served = "small";
    r.sensed = "math";
    r.finish = "stop";
    r.usage.prompt_tokens = 11;
    r.usage.completion_tokens = 7;
    r.usage.bytes_read = int64_t{1} << 40;
    r.usage.weight_bytes_read = (int64_t{1} << 40) - 1;
    r.session = 1;
    r.begun = 0.1;
    r.seconds = 1.0 / 3;
    return r;
  }
  std::string Read() const {
    std::ifstream in(path_, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  void Write(const std::string& text) const {
    std::ofstream(path_, std::ios::binary) << text;
  }
  // The error's message.
  std::string Refused(const Header& header, bool restart = false) const {
    const std::string before = Read();
    auto file = ResultsFile::Open(path_, header, restart);
    EXPECT_FALSE(file);
    EXPECT_EQ(Read(), before) << "a refused file was changed";
    return file ? "" : file.error().message;
  }

  fs::path folder_;
  std::string path_;
  Header header_;
};

TEST_F(ResultsFileTest, ARecordComesBackAsItWas) {
  const Record record = Make("a");
  std::string line = RecordLine(record);
  ASSERT_EQ(line.back(), '\n');
  line.pop_back();
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto back = ParseRecord(line);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(RecordLine(*back), line + "\n");
  EXPECT_EQ(back->answer, record.answer);
  EXPECT_EQ(back->usage.bytes_read, record.usage.bytes_read);
  EXPECT_EQ(back->seconds, record.seconds);
  EXPECT_FALSE(back->margin);
  Record sure = record;
  sure.margin = {0.75, 1.0 / 3};
  line = RecordLine(sure);
  line.pop_back();
  const auto margins = ParseRecord(line);
  ASSERT_TRUE(margins && margins->margin);
  EXPECT_EQ(margins->margin->first, 0.75);
  EXPECT_EQ(margins->margin->least, 1.0 / 3);
}

TEST_F(ResultsFileTest, BytesThatAreNoUtf8DoNotMakeALineUnreadable) {
  Record record = Make("a");
  record.error = "the server said \xff\xfe";
  std::string line = RecordLine(record);
  line.pop_back();
  const auto back = ParseRecord(line);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->error, "the server said \xef\xbf\xbd\xef\xbf\xbd");
}

TEST_F(ResultsFileTest, GoesOnWhereTheRunBeforeStopped) {
  {
    auto file = ResultsFile::Open(path_, header_, false);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_TRUE(file->found().empty());
    EXPECT_EQ(file->session(), 0);
    ASSERT_TRUE(file->Append(Make("a")));
    ASSERT_TRUE(file->Append(Make("b")));
  }
  auto file = ResultsFile::Open(path_, header_, false);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->found().size(), 2u);
  EXPECT_EQ(file->found()[1].task, "b");
  EXPECT_EQ(file->session(), 2);
  ASSERT_TRUE(file->Append(Make("c")));
  EXPECT_EQ(Read(), HeaderLine(header_) + RecordLine(Make("a")) +
                        RecordLine(Make("b")) + RecordLine(Make("c")));
}

// A kill or a power cut can end the file anywhere in its last line.
TEST_F(ResultsFileTest, DropsALastLineCutAtAnyByte) {
  const std::string whole = HeaderLine(header_) + RecordLine(Make("a"));
  const std::string last = RecordLine(Make("b"));
  for (size_t cut = 0; cut < last.size(); ++cut) {
    Write(whole + last.substr(0, cut));
    auto file = ResultsFile::Open(path_, header_, false);
    ASSERT_TRUE(file) << cut << ": " << file.error().message;
    ASSERT_EQ(file->found().size(), 1u) << cut;
    ASSERT_TRUE(file->Append(Make("b")));
    ASSERT_EQ(Read(), whole + last) << cut;
  }
}

TEST_F(ResultsFileTest, BeginsAnewFromAHeaderCutAtAnyByte) {
  const std::string header = HeaderLine(header_);
  for (size_t cut = 0; cut < header.size(); ++cut) {
    Write(header.substr(0, cut));
    auto file = ResultsFile::Open(path_, header_, false);
    ASSERT_TRUE(file) << cut << ": " << file.error().message;
    ASSERT_EQ(Read(), header) << cut;
  }
}

TEST_F(ResultsFileTest, SaysWhatDiffersAndChangesNothing) {
  Write(HeaderLine(header_) + RecordLine(Make("a")));
  Header other = header_;
  other.tasks_hash = "00000000000000bb";
  EXPECT_NE(Refused(other).find("another task set (3 tasks, hash "
                                "00000000000000aa; now 3 tasks, hash "
                                "00000000000000bb)"),
            std::string::npos);
  EXPECT_NE(Refused(other).find("--restart"), std::string::npos);
  other = header_;
  other.fingerprints["small"] = "fp-other";
  EXPECT_NE(Refused(other).find("'small' was fp-small and is fp-other"),
            std::string::npos);
  other = header_;
  other.settings["max_tokens"] = "65";
  EXPECT_NE(Refused(other).find("max_tokens was '64' and is '65'"),
            std::string::npos);
  other = header_;
  other.settings["new"] = "1";
  EXPECT_NE(Refused(other).find("new was absent and is '1'"),
            std::string::npos);
  other = header_;
  other.settings.erase("parallel");
  EXPECT_NE(Refused(other).find("parallel was '1' and is absent"),
            std::string::npos);
}

TEST_F(ResultsFileTest, OtherContendersAreNoContradiction) {
  Write(HeaderLine(header_) + RecordLine(Make("a")));
  Header other = header_;
  other.fingerprints = {{"policy:paper", "fp"}, {"small", "fp-small"}};
  const auto file = ResultsFile::Open(path_, other, false);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->found().size(), 1u);
}

TEST_F(ResultsFileTest, RemembersTheContendersThatCameLater) {
  Header later = header_;
  later.fingerprints = {{"policy:paper", "fp-1"}};
  for (const Header& header : {header_, later, header_, later}) {
    ASSERT_TRUE(ResultsFile::Open(path_, header, false));
  }
  EXPECT_EQ(Read(), HeaderLine(header_) + HeaderLine(later));
  later.fingerprints = {{"policy:paper", "fp-2"}};
  EXPECT_NE(Refused(later).find("'policy:paper' was fp-1 and is fp-2"),
            std::string::npos);
}

TEST_F(ResultsFileTest, RestartBeginsOnlyAResultsFileAnew) {
  Header other = header_;
  other.tasks_hash = "00000000000000bb";
  Write(HeaderLine(header_) + RecordLine(Make("a")));
  {
    const auto file = ResultsFile::Open(path_, other, true);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_TRUE(file->found().empty());
    EXPECT_EQ(file->session(), 0);
  }
  EXPECT_EQ(Read(), HeaderLine(other));
  for (const char* precious : {"dear diary", "{\"id\":1}\n", "\n"}) {
    Write(precious);
    EXPECT_NE(Refused(other).find("is no results file"), std::string::npos);
    EXPECT_NE(Refused(other, true).find("is no results file"),
              std::string::npos);
  }
}

TEST_F(ResultsFileTest, NamesTheLineThatIsNoRecord) {
  const std::string good = HeaderLine(header_) + RecordLine(Make("a"));
  for (const std::string& bad :
       {std::string("{}"), std::string("null"), std::string("[1]"),
        std::string("{\"task\":1}"), std::string("\0", 1), std::string("\xff"),
        std::string(), std::string(100000, '['),
        RecordLine(Make("b")).substr(0, 40)}) {
    Write(good + bad + "\n" + RecordLine(Make("c")));
    EXPECT_NE(Refused(header_).find("results.jsonl:3: "), std::string::npos)
        << bad;
  }
}

TEST_F(ResultsFileTest, RefusesRecordsWithImpossibleNumbers) {
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string line = RecordLine(Make("a"));
    line.pop_back();
    const size_t at = line.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return ParseRecord(line.replace(at, from.size(), to));
  };
  EXPECT_TRUE(with("\"session\":1", "\"session\":2"));
  EXPECT_FALSE(with("\"session\":1", "\"session\":-1"));
  EXPECT_FALSE(with("\"session\":1", "\"session\":1.5"));
  EXPECT_FALSE(with("\"session\":1", "\"session\":99999999999"));
  EXPECT_FALSE(with("\"prompt_tokens\":11", "\"prompt_tokens\":\"11\""));
  EXPECT_FALSE(with("\"intent\":\"math\"", "\"intent\":\"maths\""));
  EXPECT_FALSE(with("\"right\":true", "\"right\":1"));
  EXPECT_FALSE(with("\"begun\":", "\"begun\":-"));
  EXPECT_FALSE(with("\"usage\":{", "\"usage\":1,\"x\":{"));
}

TEST_F(ResultsFileTest, RefusesAFormatItDoesNotKnow) {
  std::string header = HeaderLine(header_);
  header.replace(header.find(":1"), 2, ":2");
  Write(header);
  EXPECT_NE(Refused(header_).find("format 2"), std::string::npos);
}

TEST_F(ResultsFileTest, RefusesASecondWriter) {
  const auto first = ResultsFile::Open(path_, header_, false);
  ASSERT_TRUE(first);
  EXPECT_NE(Refused(header_).find("another run is writing"), std::string::npos);
}

TEST_F(ResultsFileTest, SaysThatTheDiskIsFull) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  const auto file = ResultsFile::Open("/dev/full", header_, false);
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("No space left"), std::string::npos)
      << file.error().message;
}

TEST_F(ResultsFileTest, SaysThatTheFolderIsMissing) {
  const auto file =
      ResultsFile::Open((folder_ / "no" / "r.jsonl").string(), header_, false);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace aio::eval
