// SPDX-License-Identifier: Apache-2.0
#include "sim/workload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace aio::sim {
namespace {

TEST(WorkloadTest, RecordedTextsAreSaidAsTheyWere) {
  WorkloadOptions o;
  o.recorded = {{core::Label::kCode, {7, 8, 9, 10, 11}, 3},
                {core::Label::kQa, {1, 2}, 1}};
  o.requests = 200;
  o.rate = 1;
  Workload workload(o);
  int code = 0;
  while (const auto arrival = workload.Next()) {
    const SimRequest& r = *arrival->request;
    if (arrival->intent == core::Label::kQa) {
      EXPECT_EQ(r.Prompt(), std::vector<int32_t>{1});
      continue;
    }
    ++code;
    EXPECT_EQ(r.Prompt(), (std::vector<int32_t>{7, 8, 9}));
    ASSERT_EQ(r.OutputLength(0), 2);
    EXPECT_EQ(r.TokenAt(3), 10);
    EXPECT_EQ(r.TokenAt(4), 11);
  }
  EXPECT_NEAR(code, 100, 30);
}

TEST(WorkloadTest, MediansSharesAndRatesAreThoseAskedFor) {
  WorkloadOptions o;
  Kind chat, code;
  chat.prompt = {400, 0.5, 1, 100000};
  chat.output = {100, 0.8, 1, 100000};
  chat.share = 3;
  code.intent = core::Label::kCode;
  o.kinds = {chat, code};
  o.requests = 20000;
  o.rate = 4;
  Workload workload(o);
  std::vector<int> prompts, outputs;
  double last = 0;
  while (const auto arrival = workload.Next()) {
    const double at = Seconds(*arrival->when - Time());
    EXPECT_GE(at, last);
    last = at;
    if (arrival->intent != core::Label::kChat) continue;
    prompts.push_back(arrival->request->prompt_length);
    outputs.push_back(arrival->request->output_lengths[0]);
  }
  EXPECT_NEAR(last, 5000, 150);
  EXPECT_NEAR(static_cast<double>(prompts.size()), 15000, 200);
  std::ranges::sort(prompts);
  std::ranges::sort(outputs);
  EXPECT_NEAR(prompts[prompts.size() / 2], 400, 12);
  EXPECT_NEAR(outputs[outputs.size() / 2], 100, 4);
  // One standard deviation up: exp(0.8) times the median.
  EXPECT_NEAR(outputs[outputs.size() * 8413 / 10000], 222, 10);
}

TEST(WorkloadTest, ATurnBeginsWithAllThatWasSaid) {
  WorkloadOptions o = *NamedWorkload("chat");
  o.requests = 2000;
  Workload workload(o);
  std::map<uint64_t, std::vector<int32_t>> texts;
  int turns = 0;
  while (const auto arrival = workload.Next()) {
    const SimRequest& r = *arrival->request;
    const auto prompt = r.Prompt();
    auto& text = texts[r.conversation];
    if (r.turn > 0) {
      ++turns;
      ASSERT_GT(prompt.size(), text.size());
      EXPECT_TRUE(std::equal(text.begin(), text.end(), prompt.begin()));
    }
    text = prompt;
    for (int i = 0; i < r.output_lengths[0]; ++i) {
      text.push_back(r.TokenAt(r.prompt_length + i));
    }
  }
  EXPECT_GT(turns, 500);
}

// A stretch that repeats stands somewhere before, in the next turn as well.
TEST(WorkloadTest, SomeOfATextRepeats) {
  SimRequest r;
  r.conversation = 7;
  r.copied = 0.5;
  int copied = 0;
  constexpr int kStretches = 400, kWidth = SimRequest::kCopyTokens;
  for (int s = 0; s < kStretches; ++s) {
    const int source = r.SourceOf(s * kWidth);
    if (source == s * kWidth) continue;
    ++copied;
    EXPECT_LT(source, s * kWidth);
    for (int i = 0; i < kWidth; ++i) {
      EXPECT_EQ(r.TokenAt(s * kWidth + i),
                r.TokenAt(r.SourceOf(s * kWidth + i)));
    }
  }
  EXPECT_NEAR(copied, kStretches / 2, 40);
  SimRequest plain;
  plain.conversation = 7;
  EXPECT_EQ(plain.SourceOf(5000), 5000);
}

TEST(WorkloadTest, BurstsOfATraceComeAtTheRateAskedFor) {
  WorkloadOptions o = *NamedWorkload("code-centric");
  o.arrivals = {100, 100, 100, 107};  // a gap of 7/3 behind them
  o.rate = 2;
  o.requests = 9;
  Workload workload(o);
  std::vector<double> at;
  while (const auto arrival = workload.Next()) {
    at.push_back(Seconds(*arrival->when - Time()));
  }
  ASSERT_EQ(at.size(), 9u);
  EXPECT_DOUBLE_EQ(at[2], 0);
  EXPECT_NEAR(at[3], 1.5, 1e-6);
  EXPECT_NEAR(at[4], 2, 1e-6);  // four of them in two seconds
  EXPECT_NEAR(at[8], 4, 1e-6);
}

TEST(WorkloadTest, ATraceIsReadAndRepeated) {
  WorkloadOptions o;
  o.trace = *ParseTrace(
      "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
      "2023-11-16 23:59:59.5000000,320,10\r\n"
      "2023-11-17 00:00:01.0000000,160,1\r\n");
  ASSERT_EQ(o.trace.size(), 2u);
  EXPECT_NEAR(o.trace[1].seconds, 1.5, 1e-6);
  o.requests = 3;
  o.divide = 16;
  o.speed = 2;
  Workload workload(o);
  EXPECT_EQ(workload.Next()->request->prompt_length, 20);
  const auto second = workload.Next();
  EXPECT_NEAR(Seconds(*second->when - Time()), 0.75, 1e-6);
  EXPECT_EQ(second->request->output_lengths[0], 1);
  EXPECT_NEAR(Seconds(*workload.Next()->when - Time()), 1.25, 1e-6);
  EXPECT_FALSE(workload.Next());
}

TEST(WorkloadTest, ABadTraceIsToldByItsLine) {
  const std::string head = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  const auto error = [&](const std::string& lines) {
    const auto parsed = ParseTrace(head + lines);
    return parsed ? "none" : parsed.error().message;
  };
  EXPECT_EQ(error(""), "line 1: the trace is empty");
  EXPECT_EQ(error("2023-11-16 18:17:03.9,1,x\n"),
            "line 2: not TIMESTAMP,ContextTokens,GeneratedTokens");
  EXPECT_EQ(error("2023-11-16 18:17:03.9,-1,1\n"),
            "line 2: not TIMESTAMP,ContextTokens,GeneratedTokens");
  EXPECT_EQ(error("yesterday,1,1\n"),
            "line 2: no time such as 2023-11-16 18:17:03");
  EXPECT_EQ(error("2023-11-16 18:17:03.9,1,1\n2023-11-16 18:17:03.8,1,1\n"),
            "line 3: earlier than the line before it");
}

// Medians of the published traces, which kinds are made of.
TEST(WorkloadTest, TheNamedKindsAreThoseOfThePublishedTraces) {
  const char* data = std::getenv("AIO_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "AIO_TEST_DATA is not set";
  for (const auto& [file, name, prompt, output] :
       {std::tuple{"code", "code", 1469, 13}, {"conv", "chat", 1020, 129}}) {
    std::ifstream in(std::string(data) + "/traces/AzureLLMInferenceTrace_" +
                     file + ".csv");
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    auto trace = ParseTrace(text);
    ASSERT_TRUE(trace) << trace.error().message;
    const auto median = [&](auto field) {
      std::vector<int> all;
      for (const auto& line : *trace) all.push_back(line.*field);
      std::ranges::sort(all);
      return all[all.size() / 2];
    };
    EXPECT_EQ(median(&WorkloadOptions::TraceLine::prompt), prompt);
    EXPECT_EQ(median(&WorkloadOptions::TraceLine::output), output);
    const Kind kind = NamedWorkload(name)->kinds[0];
    EXPECT_EQ(kind.prompt.median, prompt);
    EXPECT_EQ(kind.output.median, output);
  }
}

TEST(WorkloadTest, AnUnknownNameIsToldTheNearest) {
  const auto found = NamedWorkload("code-centrik");
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("did you mean 'code-centric'?"),
            std::string::npos);
}

}  // namespace
}  // namespace aio::sim
