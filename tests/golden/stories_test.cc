// SPDX-License-Identifier: Apache-2.0
//
// stories260K with F32 weights and F32 KV writes the texts that its author
// published, character for character, through the file's tokenizer, the forward
// pass and the stream decoder. The published sample with a seed is not among
// them: it was drawn with llama2.c's own random number generator.
#include <gtest/gtest.h>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/golden/loaded_model.h"

namespace aio::golden {
namespace {

namespace json = boost::json;

struct Story {
  std::string name;
  std::string prompt;
  std::string arguments;  // of llama2.c: "-t 0.0 -n 128"
  std::string text;       // prompt and answer
};

std::vector<Story> Published() {
  std::ifstream file("tests/data/tinymodel/expected_greedy.json");
  std::stringstream bytes;
  bytes << file.rdbuf();
  const json::object root = json::parse(bytes.str()).as_object();
  std::vector<Story> runs;
  const auto add = [&](const json::value& value, const std::string& name) {
    const json::object& run = value.as_object();
    const json::value* prompt = run.if_contains("prompt");
    runs.push_back({name, prompt ? std::string(prompt->as_string()) : "",
                    std::string(run.at("args").as_string()),
                    std::string(run.at("text").as_string())});
  };
  for (const json::value& run : root.at("published").as_array()) {
    add(run, std::string(run.as_object().at("source").as_string()));
  }
  for (const json::value& run :
       root.at("recorded_here").as_object().at("runs").as_array()) {
    add(run, "recorded");
  }
  return runs;
}

// llama2.c counts steps from the begin token: `-n 128` is a sequence of 128
// tokens behind it, prompt included; 256 if nothing is said.
int StepsOf(const Story& run) {
  const size_t at = run.arguments.find("-n ");
  return at == std::string::npos ? 256
                                 : std::stoi(run.arguments.substr(at + 3));
}

// What llama2.c prints: tokens until it has made its steps or the model says
// the begin token, which is how it ends a story.
std::string Generate(LoadedModel* model, const Story& run) {
  std::vector<int32_t> ids = {model->tokenizer()->bos()};
  for (const int32_t id : model->tokenizer()->Encode(run.prompt)) {
    ids.push_back(id);
  }
  model->Restart();
  std::vector<int32_t> input = ids;
  while (static_cast<int>(ids.size()) <= StepsOf(run)) {
    const int32_t next = BestToken(model->Step(input, false)[0]);
    if (next == model->tokenizer()->bos()) break;
    ids.push_back(next);
    input = {next};
  }
  return model->Text(ids);
}

TEST(StoriesTest, WritesEveryPublishedGreedyTextCharacterForCharacter) {
  auto model = LoadedModel::Open("models/stories260K-F32.gguf",
                                 kernels::KvType::kF32, 512);
  ASSERT_TRUE(model) << model.error().message;
  const std::vector<Story> runs = Published();
  ASSERT_GE(runs.size(), 5u);
  for (const Story& run : runs) {
    EXPECT_EQ(Generate(model->get(), run), run.text)
        << run.name << " \"" << run.prompt << "\" " << run.arguments;
  }
}

}  // namespace
}  // namespace aio::golden
