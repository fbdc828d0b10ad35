// SPDX-License-Identifier: Apache-2.0
#include "engine/thinking_splitter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "engine/choice.h"
#include "engine/engine_fixture.h"

namespace aio::engine {
namespace {

constexpr const char* kOpen = "<think>";
constexpr const char* kClose = "</think>";

// "thought|answer" of a text in pieces of `size` bytes.
std::string Split(const std::string& text, size_t size, bool open = false) {
  ThinkingSplitter splitter({kOpen, kClose}, open);
  std::string thought, answer;
  const auto add = [&](ThinkingSplitter::Pieces pieces) {
    thought += pieces.thought;
    answer += pieces.answer;
  };
  for (size_t at = 0; at < text.size(); at += size) {
    add(splitter.Push(std::string_view(text).substr(at, size)));
  }
  add(splitter.Finish());
  return thought + "|" + answer;
}

TEST(ThinkingSplitterTest, TellsTheThoughtWhereverThePiecesEnd) {
  for (size_t size = 1; size < 40; ++size) {
    EXPECT_EQ(Split("<think>\nhm\n</think>\n\nYes.", size), "hm\n|Yes.");
    EXPECT_EQ(Split("\n<think>a < b</think>c", size), "a < b|c");
    EXPECT_EQ(Split("<think>\n\n</think>\n\nYes.", size), "|Yes.");
    EXPECT_EQ(Split("hm</think> Yes.", size, true), "hm|Yes.");
  }
}

TEST(ThinkingSplitterTest, MarksBehindTheFirstWordAreText) {
  for (size_t size = 1; size < 40; ++size) {
    for (const char* text : {"Write <think> and </think>.", " a", "\n\n", "<b>",
                             "<think", "</think>", "< think>"}) {
      EXPECT_EQ(Split(text, size), "|" + std::string(text)) << size;
    }
    EXPECT_EQ(Split("<think>a</think>b<think>c</think>", size),
              "a|b<think>c</think>");
  }
}

TEST(ThinkingSplitterTest, AThoughtThatIsCutShortIsAThought) {
  for (size_t size = 1; size < 20; ++size) {
    EXPECT_EQ(Split("<think>hm</thi", size), "hm</thi|");
    EXPECT_EQ(Split("<think>", size), "|");
  }
}

TEST(ThinkingSplitterTest, ShowsWhatCannotBeAMarkAtOnce) {
  ThinkingSplitter splitter({kOpen, kClose}, true);
  EXPECT_EQ(splitter.Push("a<").thought, "a");
  EXPECT_EQ(splitter.Push("b").thought, "<b");
  EXPECT_EQ(splitter.Push("</think>c").answer, "c");
  EXPECT_EQ(splitter.Push("<").answer, "<");
}

// ---- In an answer -----------------------------------------------------------

// What a choice shows of a text of forced tokens, one letter each.
struct Shown {
  std::string thought, answer, logprobs;
  core::FinishReason finish{};
};
Shown Show(const std::string& text, bool open, std::vector<std::string> stop) {
  const auto tokenizer = std::make_shared<LetterTokenizer>();
  core::Request request;
  request.stop = std::move(stop);
  request.sampling.logprobs = true;
  for (const char c : text) request.sampling.forced.push_back(c - '0');
  const std::vector<int32_t> prompt = {62, 1};
  Choice choice(request, 1, 0, prompt, tokenizer,
                static_cast<int>(text.size()));
  choice.WatchThinking({"<", ">"}, open);
  Shown shown;
  const std::vector<float> logits(64, 0.0f);
  while (!choice.finish()) {
    const core::Delta delta = choice.Push(logits);
    shown.thought += delta.reasoning;
    shown.answer += delta.text;
    for (const auto& l : delta.logprobs) shown.logprobs += l.bytes;
  }
  shown.finish = *choice.finish();
  return shown;
}

TEST(ThinkingChoiceTest, LogprobsAreOfTheAnswer) {
  const Shown shown = Show("<abc>def", false, {});
  EXPECT_EQ(shown.thought, "abc");
  EXPECT_EQ(shown.answer, "def");
  EXPECT_EQ(shown.logprobs, "def");
  EXPECT_EQ(Show("def<a>", false, {}).logprobs, "def<a>");
  EXPECT_EQ(Show("a>b", true, {}).logprobs, "b");
}

TEST(ThinkingChoiceTest, StopStringsAreOfTheAnswer) {
  const Shown shown = Show("<abcb>defbg", false, {"b"});
  EXPECT_EQ(shown.thought, "abcb");
  EXPECT_EQ(shown.answer, "def");
  EXPECT_EQ(shown.logprobs, "def");
  EXPECT_EQ(shown.finish, core::FinishReason::kStop);
}

TEST(ThinkingChoiceTest, AnAnswerCutInItsThoughtIsCut) {
  const Shown shown = Show("<abc", false, {});
  EXPECT_EQ(shown.thought, "abc");
  EXPECT_EQ(shown.answer, "");
  EXPECT_EQ(shown.finish, core::FinishReason::kLength);
}

// Marks that are control tokens decode to nothing: told by their id.
class SilentMarks : public LetterTokenizer {
 public:
  std::string_view Bytes(int32_t id, bool special) const override {
    const std::string_view bytes = LetterTokenizer::Bytes(id, special);
    return !special && (bytes == "<" || bytes == ">") ? "" : bytes;
  }
};

TEST(ThinkingChoiceTest, FindsMarksThatDecodeToNothing) {
  core::Request request;
  for (const char c : std::string("<ab>c")) {
    request.sampling.forced.push_back(c - '0');
  }
  const std::vector<int32_t> prompt = {62, 1};
  Choice choice(request, 1, 0, prompt, std::make_shared<SilentMarks>(), 5);
  choice.WatchThinking({"<", ">"}, false);
  std::string thought, answer;
  while (!choice.finish()) {
    const core::Delta delta = choice.Push(std::vector<float>(64, 0.0f));
    thought += delta.reasoning;
    answer += delta.text;
  }
  EXPECT_EQ(thought + "|" + answer, "ab|c");
}

}  // namespace
}  // namespace aio::engine
