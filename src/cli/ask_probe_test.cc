// SPDX-License-Identifier: Apache-2.0
#include "cli/ask_probe.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/request.h"

namespace aio::cli {
namespace {

// The bundled model in the real engine. Tests run with the repository's root
// as their folder.
class AskProbeTest : public testing::Test {
 protected:
  AskProbeTest() : config_(ConfigOfModel("models/stories260K-Q8_0.gguf")) {
    config_.devices["cpu0"].threads = 1;
    config_.probe.model = "model";
    auto graph = Graph::Build(config_, [](const std::string&) {});
    EXPECT_TRUE(graph) << graph.error().message;
    graph_ = *std::move(graph);
  }

  std::vector<std::shared_ptr<const core::Request>> Requests(
      const std::vector<std::string>& texts) {
    std::vector<std::shared_ptr<const core::Request>> requests;
    for (const std::string& text : texts) {
      auto request = std::make_shared<core::Request>();
      request->id = "test-" + std::to_string(++ids_);
      request->messages = {{core::Role::kUser, text}};
      requests.push_back(std::move(request));
    }
    return requests;
  }
  Result<ProbeAnswers> Ask(const std::vector<std::string>& texts,
                           int in_flight) {
    AskOptions options;
    options.in_flight = in_flight;
    options.progress = [this](int done) { done_ = done; };
    return AskProbe(graph_.get(), config_.probe, Requests(texts), options);
  }

  config::Config config_;
  std::unique_ptr<Graph> graph_;
  int ids_ = 0;
  int done_ = 0;
};

TEST_F(AskProbeTest, ManyInFlightAnswerInTheirOrderWithTheSameLogits) {
  const std::vector<std::string> texts = {"One day a cat", "The sun",
                                          "A girl named Lily", "He ran", "x"};
  const auto alone = Ask(texts, 1);
  ASSERT_TRUE(alone) << alone.error().message;
  const auto many = Ask(texts, 4);
  ASSERT_TRUE(many) << many.error().message;
  EXPECT_EQ(done_, 5);
  EXPECT_EQ(alone->prior, many->prior);
  ASSERT_EQ(many->prior.size(), core::kLabels);
  for (size_t i = 0; i < texts.size(); ++i) {
    ASSERT_TRUE(alone->requests[i].scores && many->requests[i].scores) << i;
    const core::Scores& scores = *many->requests[i].scores;
    EXPECT_EQ(alone->requests[i].scores->logits, scores.logits) << i;
    EXPECT_GT(alone->requests[i].scores->tokens, 1) << i;
    EXPECT_EQ(scores.tokens, 1) << i << ": all but the last is cached";
    EXPECT_TRUE(scores.kept) << i;
    EXPECT_GT(many->requests[i].took, Duration::zero()) << i;
  }
  // Different prompts, different answers: none was given another's.
  EXPECT_NE(many->requests[0].scores->logits, many->requests[1].scores->logits);
  EXPECT_EQ(many->asked.labels.size(), core::kLabels);
}

TEST_F(AskProbeTest, APromptThatCannotBeAskedFailsAlone) {
  const auto answers = Ask({"The sun", std::string(4000, 'q'), "He ran"}, 2);
  ASSERT_TRUE(answers) << answers.error().message;
  EXPECT_TRUE(answers->requests[0].scores);
  EXPECT_FALSE(answers->requests[1].scores);
  EXPECT_NE(answers->requests[1].scores.error().message.find("context"),
            std::string::npos);
  EXPECT_TRUE(answers->requests[2].scores);
}

TEST_F(AskProbeTest, LabelsThatAreNoTokensFailAsAWhole) {
  for (const auto name : core::kLabelNames) {
    config_.probe.labels[std::string(name)] = "no token " + std::string(name);
  }
  const auto answers = Ask({"The sun"}, 2);
  ASSERT_FALSE(answers);
  EXPECT_EQ(answers.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(AskProbeTest, WithoutAProbeOnlyTheSizesAreTold) {
  config_.probe.model.clear();
  const auto answers = Ask({"The sun"}, 2);
  ASSERT_TRUE(answers);
  EXPECT_GT(answers->requests[0].sizes[0]->tokens, 0);
  EXPECT_EQ(answers->requests[0].scores.error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(Ask({}, 2)->requests.empty());
}

}  // namespace
}  // namespace aio::cli
