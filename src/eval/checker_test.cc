// SPDX-License-Identifier: Apache-2.0
#include "eval/checker.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "eval/answer_choice.h"
#include "eval/answer_number.h"

namespace aio::eval {
namespace {

Verdict VerdictOn(Checker checker, const std::string& reference,
                  std::string_view answer) {
  Task task;
  task.checker = checker;
  task.reference = reference;
  const auto verdict = Check(task, answer, nullptr);
  EXPECT_TRUE(verdict) << verdict.error().message;
  return verdict ? *verdict : Verdict{};
}

bool Right(Checker checker, const std::string& reference,
           std::string_view answer) {
  return VerdictOn(checker, reference, answer).right;
}

TEST(ExactTest, OnlyWhiteSpaceMayDiffer) {
  const auto right = [](const char* reference, const char* answer) {
    return Right(Checker::kExact, reference, answer);
  };
  EXPECT_TRUE(right("a b", "a b"));
  EXPECT_TRUE(right("a b", "\n\u00A0 a \t\n b\u3000"));
  EXPECT_FALSE(right("a b", "ab"));
  EXPECT_FALSE(right("a b", "A b"));
  EXPECT_FALSE(right("a b", "a b."));
  EXPECT_FALSE(right("a b", ""));
  EXPECT_FALSE(right("a", "a\xff"));
}

TEST(NumberTest, TheLastNumberOfTheAnswerIsCompared) {
  const std::vector<std::pair<const char*, const char*>> right = {
      {"42", "42"},
      {"42", "The answer is 42."},
      {"42", "First 7, then 42"},
      {"42", "42.0"},
      {"42", "= 42.00 dollars."},
      {"42", "#### 42\nI used 3 steps"},
      {"42", "so 42 kg"},
      {"42", "it is **42**"},
      {"42", "\\boxed{42} of 100"},
      {"3/4", "\\boxed{\\frac{3}{4}}"},
      {"-3/4", "-\\frac{3}{4}"},
      {"0.75", "3/4"},
      {"0.5", "x = .5"},
      {"0.5", "0.50"},
      {"2,125", "2125"},
      {"2125", "$2,125"},
      {"1450000", "$1,450,000.00!"},
      {"2", "1, 2"},
      {"2", "1,2"},
      {"-10", "-10"},
      {"-10", "\u221210 degrees"},
      {"-5", "-$5"},
      {"-5", "$-5"},
      {"-5", "(-5)"},
      {"5", "10-5"},
      {"5", "x-5"},
      {"2", "3 - 2"},
      {"50", "50%"},
      {"50%", "50"},
      {"5", "\u20AC5"},
      {"6000", "6e3"},
      {"0.006", "6e-3"},
      {"0", "-0"},
      {"7", "7 apples, H2O and x2 left"},
      {"5", "on May 3/4/5"},
      {"42", "等于42。"},
      {"18", "9 * 2 = $<<9*2=18>>18"},
      {"123456789012345678901234567890", "123456789012345678901234567890.0"},
  };
  for (const auto& [reference, answer] : right) {
    EXPECT_TRUE(Right(Checker::kNumber, reference, answer))
        << reference << " | " << answer << " | "
        << VerdictOn(Checker::kNumber, reference, answer).why;
  }
}

TEST(NumberTest, ADifferentNumberIsWrong) {
  const std::vector<std::pair<const char*, const char*>> wrong = {
      {"42", "41"},
      {"42", "-42"},
      {"42", "420"},
      {"42", "4.2"},
      {"42", "forty-two"},
      {"42", ""},
      {"42", "42 or 43"},
      {"0.333", "1/3"},
      {"1234", "1,23,4"},
      {"10000000000000000000000", "10000000000000000000001"},
      {"0.1", "0.10000000000000000555"},
      {"1", "1/0"},
  };
  for (const auto& [reference, answer] : wrong) {
    EXPECT_FALSE(Right(Checker::kNumber, reference, answer))
        << reference << " | " << answer;
  }
  EXPECT_EQ(VerdictOn(Checker::kNumber, "42", "It is 41.").why,
            "expected 42, found 41");
  EXPECT_EQ(VerdictOn(Checker::kNumber, "42", "no").why,
            "expected 42, found no number");
}

TEST(NumberTest, NumbersOfAnyLengthEndSoon) {
  const std::string digits(1 << 20, '9');
  EXPECT_FALSE(Right(Checker::kNumber, "42", digits));
  EXPECT_FALSE(Right(Checker::kNumber, "42", "1e999999999999"));
  std::string commas, fractions, boxes;
  for (int i = 0; i < 100000; ++i) {
    commas += ",123";
    fractions += "/1";
    boxes += "\\boxed{";
  }
  EXPECT_FALSE(Right(Checker::kNumber, "42", "1" + commas));
  EXPECT_FALSE(Right(Checker::kNumber, "42", "9" + fractions));
  EXPECT_FALSE(Right(Checker::kNumber, "42", boxes));
}

TEST(ChoiceTest, TheLetterThatTheAnswerDecidesForIsFound) {
  const std::vector<std::pair<char, const char*>> cases = {
      {'B', "B"},
      {'B', "b"},
      {'B', "B."},
      {'B', "(B)"},
      {'B', "(b)"},
      {'B', " **B**"},
      {'B', "B) Paris"},
      {'B', "**B) Paris**"},
      {'B', "B: Paris"},
      {'B', "B - Paris"},
      {'B', "B Paris"},
      {'A', "A"},
      {'A', "A. Paris"},
      {'A', "A\nbecause it is"},
      {'A', "A is correct."},
      {'B', "The answer is B."},
      {'B', "The answer is (B)."},
      {'B', "The correct answer is: **B**"},
      {'B', "**Answer:** B"},
      {'B', "Answer: B"},
      {'B', "answer: b"},
      {'B', "Answer:\nB"},
      {'B', "The correct option is B"},
      {'B', "The answer is option B, since A is wrong."},
      {'A', "The answer is A."},
      {'A', "So the answer is A because D is false."},
      {'C', "A and B are wrong. The answer is C."},
      {'C', "The answer is A... no, wait: the answer is C."},
      {'B', "A dog has four legs, so B"},
      {'B', "A careful look shows that it is B."},
      {'B', "I think it is B"},
      {'B', "I'd say (B)."},
      {'D', "Option (A) is false, (B) too, and so (D)"},
      {'B', "$\\boxed{B}$"},
      {'B', "\\boxed{\\text{B}}"},
      {'B', "答案是B。"},
      {'B', "答案：B"},
      {'B', "应该选B"},
      {'J', "The answer is J"},
      {'A', "It must be A"},
  };
  for (const auto& [letter, answer] : cases) {
    EXPECT_EQ(ChosenLetter(answer).value_or('-'), letter) << answer;
  }
}

TEST(ChoiceTest, WordsAreNoLetters) {
  for (const char* answer :
       {"", "Paris", "A dog", "a", "I do not know", "I'm not sure",
        "The answer is Berlin", "Because it's big", "K", "CAB",
        "the answer is a dog", "A 42-year-old"}) {
    if (std::string(answer) == "a") continue;  // all of it: a choice
    EXPECT_EQ(ChosenLetter(answer).value_or('-'), '-') << answer;
  }
  EXPECT_EQ(VerdictOn(Checker::kChoice, "B", "Paris").why,
            "expected B, found no letter");
  EXPECT_EQ(VerdictOn(Checker::kChoice, "b", "(C)").why, "expected B, found C");
  EXPECT_TRUE(Right(Checker::kChoice, " b ", "(B)"));
}

TEST(ContainsTest, TheReferenceIsFoundOnBordersOfWords) {
  const auto right = [](const char* reference, const char* answer) {
    return Right(Checker::kContains, reference, answer);
  };
  EXPECT_TRUE(right("Mali", "It is mali."));
  EXPECT_FALSE(right("Mali", "Somalia"));
  EXPECT_FALSE(right("Mali", "Malians"));
  EXPECT_TRUE(right("New York", "in NEW\n  york"));
  EXPECT_FALSE(right("New York", "NewYork"));
  EXPECT_TRUE(right("Ärger", "viel ärger!"));
  EXPECT_FALSE(right("rger", "Ärger"));
  EXPECT_TRUE(right("42", "42."));
  EXPECT_FALSE(right("42", "1424"));
  EXPECT_TRUE(right("C++", "in C++11"));
  EXPECT_TRUE(right("(x)", "f(x)"));
  EXPECT_TRUE(right(".*", "a .* b"));
  EXPECT_FALSE(right(".*", "anything"));
  EXPECT_TRUE(right("a\\Eb", "a\\Eb"));
  EXPECT_TRUE(right("\\", "a\\b"));
  EXPECT_TRUE(right("北京", "首都是北京市。"));
  EXPECT_FALSE(right("北京", "北 京"));
  EXPECT_TRUE(right("AI", "用AI做"));
  EXPECT_FALSE(right("Mali",
                     "M\xff"
                     "ali"));
}

TEST(ContainsTest, AnyLineOfTheReferenceSuffices) {
  const std::string reference = "United Kingdom\n\n UK \n";
  EXPECT_TRUE(Right(Checker::kContains, reference, "the UK"));
  EXPECT_TRUE(Right(Checker::kContains, reference, "the united kingdom"));
  EXPECT_FALSE(Right(Checker::kContains, reference, "Ukraine"));
  EXPECT_EQ(VerdictOn(Checker::kContains, reference, "Ukraine").why,
            "did not find United Kingdom UK");
}

TEST(RegexTest, TheExpressionIsSearchedAnywhere) {
  EXPECT_TRUE(Right(Checker::kRegex, "b+", "abbbc"));
  EXPECT_FALSE(Right(Checker::kRegex, "^b+$", "abbbc"));
  EXPECT_TRUE(Right(Checker::kRegex, "(?i)ÄRGER", "ärger"));
  EXPECT_TRUE(Right(Checker::kRegex, "^\\w+$", "naïve"));
  EXPECT_FALSE(Right(Checker::kRegex, "a.c", "a\nc"));
}

TEST(RegexTest, ACatastrophicExpressionGivesUp) {
  const auto start = std::chrono::steady_clock::now();
  for (const char* expression : {"^(a+)+$", "^(a|aa)+$", "^(\\w*)*[!?]{2}$"}) {
    const Verdict verdict =
        VerdictOn(Checker::kRegex, expression, std::string(100000, 'a') + "!");
    EXPECT_FALSE(verdict.right);
    EXPECT_NE(verdict.why.find("too many steps"), std::string::npos)
        << expression << verdict.why;
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start,
            std::chrono::seconds(100));
}

TEST(CheckTest, PythonTestsNeedARunner) {
  Task task;
  task.id = "t";
  task.checker = Checker::kPythonTests;
  const auto verdict = Check(task, "", nullptr);
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().code, ErrorCode::kUnsupported);
}

class ProgramTest : public testing::Test {
 protected:
  // Without the tests.
  std::string Program(std::string_view answer) {
    task_.reference = "TESTS";
    const std::string program = PythonProgram(task_, answer);
    EXPECT_TRUE(program.ends_with("\nTESTS"));
    return program.substr(0, program.size() - 6);
  }
  Task task_;
};

TEST_F(ProgramTest, TheFirstBlockOfPythonIsTheCode) {
  EXPECT_EQ(Program("x = 1"), "x = 1\n");
  EXPECT_EQ(Program("Here:\n```python\nx = 1\n```\nor\n```python\ny\n```"),
            "x = 1\n");
  EXPECT_EQ(Program("```sh\nls\n```\n```py\nx = 1\n```"), "x = 1\n");
  EXPECT_EQ(Program("```\nx = 1\n```\ntext"), "x = 1\n");
  EXPECT_EQ(Program("  ```Python {.x}\r\nx = 1\r\n  ```\r\n"), "x = 1\n");
  EXPECT_EQ(Program("~~~python\ns = '''\n```\n'''\n~~~"),
            "s = '''\n```\n'''\n");
  EXPECT_EQ(Program("```python\nx = 1\ny ="), "x = 1\ny =\n");  // cut off
  EXPECT_EQ(Program("```python\n```"), "");
  EXPECT_EQ(Program(""), "");
}

TEST_F(ProgramTest, CodeThatDefinesTheFunctionStandsAlone) {
  task_.prefix = "import x\ndef f(a):\n    \"\"\"Doc.\"\"\"\n";
  task_.entry_point = "f";
  for (const char* code :
       {"def f(a):\n    return a\n", "import y\n\nclass f:\n  pass\n",
        "async def f():\n    pass\n", "f = lambda a: a\n"}) {
    EXPECT_EQ(Program(code), task_.prefix + "\n\n" + code);
  }
}

TEST_F(ProgramTest, OtherCodeContinuesTheBody) {
  task_.prefix = "def f(a):\n    \"\"\"Doc.\"\"\"";
  task_.entry_point = "f";
  const std::string body = task_.prefix + "\n";
  EXPECT_EQ(Program("    return a\n"), body + "    return a\n");
  EXPECT_EQ(Program("return a"), body + "    return a\n");
  EXPECT_EQ(Program("if a:\n    return 1\nreturn f(2)"),
            body + "    if a:\n        return 1\n    return f(2)\n");
  EXPECT_EQ(Program("for b in a:\n    x(b)"),
            body + "    for b in a:\n        x(b)\n");
  // Stripped, the answer lost the indent of its first line only.
  EXPECT_EQ(Program("b = a\n    return b"), body + "    b = a\n    return b\n");
  EXPECT_EQ(Program("for b in a:\n        x(b)\n    return 1"),
            body + "    for b in a:\n        x(b)\n    return 1\n");
  EXPECT_EQ(Program("def ff(): pass\nf == 1"),
            body + "    def ff(): pass\n    f == 1\n");
}

}  // namespace
}  // namespace aio::eval
