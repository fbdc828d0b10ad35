// SPDX-License-Identifier: Apache-2.0
//
// Our side of the comparison: the same jobs that peer.mjs answers, answered by
// our tokenizer and forward pass.
//
//   our_side MODEL.gguf f32|f16|q8 < job.json        prints the answer as JSON
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_from.hpp>
#include <boost/json/value_to.hpp>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/golden/loaded_model.h"

namespace aio::golden {
namespace {

namespace json = boost::json;

using Ids = std::vector<int32_t>;

json::object Greedy(LoadedModel* model, const json::object& job) {
  Ids prompt = json::value_to<Ids>(job.at("prompt"));
  const Ids ids = model->Greedy(prompt, json::value_to<int>(job.at("count")));
  prompt.insert(prompt.end(), ids.begin(), ids.end());
  return {{"ids", json::value_from(ids)}, {"text", model->Text(prompt)}};
}

json::array Tokens(const tokenizer::Tokenizer& tokenizer,
                   const json::array& texts) {
  json::array tokens;
  for (const json::value& text : texts) {
    const std::string_view view = text.as_string();
    tokens.push_back(json::value_from(tokenizer.Encode(view)));
  }
  return tokens;
}

// Needs the weights, unlike Tokens.
Result<void> AnswerByModel(const std::string& path, kernels::KvType kv,
                           const json::object& job, json::object* answer) {
  constexpr int kTokensMax = 256;
  ASSIGN_OR_RETURN(const auto model, LoadedModel::Open(path, kv, kTokensMax));
  if (const json::value* greedy = job.if_contains("greedy")) {
    (*answer)["greedy"] = Greedy(model.get(), greedy->as_object());
  }
  if (const json::value* logits = job.if_contains("logits")) {
    model->Restart();
    const Ids tokens = json::value_to<Ids>(logits->as_object().at("tokens"));
    (*answer)["logits"] = json::value_from(model->Step(tokens));
  }
  return {};
}

Result<json::object> Answer(const std::string& path, kernels::KvType kv,
                            const json::object& job) {
  json::object answer;
  if (const json::value* texts = job.if_contains("texts")) {
    ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Open(path));
    ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::Tokenizer::Load(file));
    answer["tokens"] = Tokens(*tokenizer, texts->as_array());
  }
  if (job.contains("greedy") || job.contains("logits")) {
    RETURN_IF_ERROR(AnswerByModel(path, kv, job, &answer));
  }
  return answer;
}

int Main(const std::string& path, kernels::KvType kv) {
  const std::string job{std::istreambuf_iterator<char>(std::cin), {}};
  const auto answer = Answer(path, kv, json::parse(job).as_object());
  if (!answer) {
    std::fprintf(stderr, "%s\n", answer.error().message.c_str());
    return 1;
  }
  std::cout << *answer << "\n";
  return 0;
}

}  // namespace
}  // namespace aio::golden

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "our_side MODEL.gguf f32|f16|q8 < job.json\n");
    return 2;
  }
  try {
    using aio::kernels::KvType;
    for (const auto kv : {KvType::kF32, KvType::kF16, KvType::kQ8}) {
      if (std::string_view(argv[2]) == aio::kernels::NameOf(kv)) {
        return aio::golden::Main(argv[1], kv);
      }
    }
    std::fprintf(stderr, "'%s' is none of f32, f16, q8\n", argv[2]);
    return 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
