// SPDX-License-Identifier: Apache-2.0
#include "tools/probe_data.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>

#include "probe/text_probe.h"

namespace aio::tools {
namespace {

TEST(ProbeDataTest, ThePromptsWrittenForTrainingAreReadable) {
  const auto templates = ReadTemplates("tools/probe_prompts.txt");
  ASSERT_TRUE(templates) << templates.error().message;
  std::map<core::Label, int> count;
  for (const Template& t : *templates) ++count[t.label];
  EXPECT_EQ(count.size(), core::kLabels);
  Sample passage;
  passage.label = core::Label::kQa;
  passage.text = std::string(300, 'p');
  for (const Sample& s : Fill(*templates, {&passage})) {
    EXPECT_EQ(s.text.find("{text}"), std::string::npos) << s.text;
    EXPECT_EQ(s.text.find("{line}"), std::string::npos) << s.text;
  }
}

// Trained on these prompts, so this says only that the model file and the
// function that reads prompts belong together; docs/probe.md says how good.
TEST(ProbeDataTest, TheBundledModelFitsTheDataItWasTrainedOn) {
  const char* data = std::getenv("AIO_TEST_DATA");
  if (data == nullptr) {
    std::cout << "AIO_TEST_DATA is not set: not run on the labelled prompts\n";
    GTEST_SKIP();
  }
  const auto samples = ReadSamples(std::string(data) + "/intent/dev.jsonl");
  ASSERT_TRUE(samples) << samples.error().message;
  const auto probe = probe::TextProbe::Load("models/intent.ftz");
  ASSERT_TRUE(probe) << probe.error().message;
  size_t right = 0;
  for (const Sample& s : *samples) {
    right += (*probe)->ClassifyText(s.text).Best() == s.label;
  }
  EXPECT_GT(samples->size(), 3000u);
  EXPECT_GT(right, samples->size() * 94 / 100);
}

}  // namespace
}  // namespace aio::tools
