// SPDX-License-Identifier: Apache-2.0
//
// make_random_model OUT [--family F] [--type T] [--seed N]
//                   [--tokenizer MODEL.gguf] [sizes]
//
// A GGUF model with random weights of any supported family and type, and the
// tokenizer of another model: to compare engines, and to measure speed.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <string>

#include "model/random_model.h"

namespace {

aio::Result<void> Make(const aio::model::RandomModel& description,
                       const std::string& tokenizer, const std::string& out) {
  if (tokenizer.empty()) {
    return aio::model::MakeRandomModel(description).Write(out);
  }
  ASSIGN_OR_RETURN(const auto file, aio::gguf::File::Open(tokenizer));
  return aio::model::MakeRandomModel(description, &file).Write(out);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Make a GGUF model with random weights");
  std::string tokenizer, out;
  aio::model::RandomModel m;
  const std::map<std::string, aio::DType> types = {
      {"F32", aio::DType::kF32},   {"F16", aio::DType::kF16},
      {"BF16", aio::DType::kBF16}, {"Q8_0", aio::DType::kQ8_0},
      {"Q4_0", aio::DType::kQ4_0}, {"Q4_1", aio::DType::kQ4_1},
      {"Q5_0", aio::DType::kQ5_0}, {"Q5_1", aio::DType::kQ5_1},
      {"Q4_K", aio::DType::kQ4_K}, {"Q5_K", aio::DType::kQ5_K},
      {"Q6_K", aio::DType::kQ6_K}};
  app.add_option("out", out, "the GGUF file")->required();
  app.add_option("--family,--architecture", m.architecture, "its family")
      ->check(CLI::IsMember({"llama", "qwen2", "qwen3", "pangu-embedded"}))
      ->capture_default_str();
  app.add_option("--type", m.type, "of the matrices")
      ->transform(CLI::CheckedTransformer(types));
  app.add_option("--seed", m.seed, "of the weights")->capture_default_str();
  app.add_option("--tokenizer", tokenizer,
                 "a GGUF file whose tokenizer is copied");
  const auto size = [&](const char* name, int& value) {
    app.add_option(name, value)
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
  };
  size("--vocabulary", m.vocabulary);  // without --tokenizer
  size("--hidden", m.hidden);
  size("--layers", m.layers);
  size("--heads", m.heads);
  size("--kv-heads", m.kv_heads);
  size("--head-dim", m.head_dim);
  size("--feed-forward", m.feed_forward);
  size("--context", m.context);
  app.add_flag("--tied", m.tied, "no output.weight");
  app.add_flag("--rope-divisors", m.rope_divisors, "a rope_freqs.weight");
  float linear = 0, stretch = 0;
  app.add_option("--rope-linear", linear, "a linear rope scaling factor");
  app.add_option("--rope-yarn", stretch, "a yarn rope scaling factor");
  CLI11_PARSE(app, argc, argv);
  const float factor = stretch > 0 ? stretch : linear;
  if (factor > 0) {
    m.keys = {
        {"rope.scaling.type", std::string(stretch > 0 ? "yarn" : "linear")},
        {"rope.scaling.factor", factor},
        {"rope.scaling.original_context_length",
         static_cast<uint32_t>(m.context / 8 + 1)}};
  }
  const auto done = Make(m, tokenizer, out);
  if (done) return 0;
  std::fprintf(stderr, "make_random_model: %s\n", done.error().message.c_str());
  return 1;
}
