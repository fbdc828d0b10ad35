// SPDX-License-Identifier: Apache-2.0
//
// A model file with its tokenizer and a forward pass of one sequence: the least
// that turns tokens into logits. For tests; the engine is not in it.
//
// Thread safety: none.
#pragma once

#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/gguf.h"
#include "model/cpu_forward.h"
#include "model/forward.h"
#include "tokenizer/tokenizer.h"

namespace aio::golden {

// The first of the largest, as a greedy sampler takes it.
inline int32_t BestToken(std::span<const float> logits) {
  size_t best = 0;
  for (size_t i = 1; i < logits.size(); ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  return static_cast<int32_t>(best);
}

class LoadedModel {
 public:
  // With KV for `tokens_max` positions.
  static Result<std::unique_ptr<LoadedModel>> Open(const std::string& path,
                                                   kernels::KvType kv,
                                                   int tokens_max) {
    auto model = std::unique_ptr<LoadedModel>(new LoadedModel());
    ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Open(path));
    ASSIGN_OR_RETURN(model->tokenizer_, tokenizer::Tokenizer::Load(file));
    model::CpuOptions options;
    options.pool = &model->pool_;
    options.kv = kv;
    options.pages = (tokens_max + model::kPageTokens - 1) / model::kPageTokens;
    options.columns_max = tokens_max;
    ASSIGN_OR_RETURN(model->forward_, model::LoadCpuForward(file, options));
    model->pages_.resize(static_cast<size_t>(options.pages));
    std::iota(model->pages_.begin(), model->pages_.end(), 0);
    return model;
  }

  const std::shared_ptr<const tokenizer::Tokenizer>& tokenizer() const {
    return tokenizer_;
  }

  // Forgets the sequence so far.
  void Restart() { position_ = 0; }

  // Steps `tokens`; returns the logits after each, or after the last only.
  std::vector<std::vector<float>> Step(std::span<const int32_t> tokens,
                                       bool all = true) {
    std::vector<model::Column> columns(tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i) {
      columns[i].token = tokens[i];
      columns[i].position = position_++;
      columns[i].pages = pages_;
      columns[i].logits = all || i + 1 == tokens.size();
    }
    forward_->Step(columns);
    std::vector<std::vector<float>> out(all ? tokens.size() : 1);
    for (size_t i = 0; i < out.size(); ++i) {
      const auto logits = forward_->Logits(static_cast<int>(i));
      out[i].assign(logits.begin(), logits.end());
    }
    return out;
  }

  // The `count` most probable tokens after `prompt`, from a new sequence; an
  // end of text does not stop it.
  std::vector<int32_t> Greedy(std::vector<int32_t> prompt, int count) {
    Restart();
    std::vector<int32_t> ids;
    std::vector<int32_t> input = std::move(prompt);
    while (static_cast<int>(ids.size()) < count) {
      ids.push_back(BestToken(Step(input, false)[0]));
      input = {ids.back()};
    }
    return ids;
  }

  // Ids as a reader of the stream sees them.
  std::string Text(std::span<const int32_t> ids) const {
    tokenizer::StreamDecoder decoder(tokenizer_, true);
    std::string text;
    for (const int32_t id : ids) text += decoder.Push(id);
    return text + decoder.Finish();
  }

 private:
  LoadedModel() = default;

  ThreadPool pool_{1};  // no barrier to wait at: the models are tiny
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  std::unique_ptr<model::Forward> forward_;
  std::vector<int32_t> pages_;
  int position_ = 0;
};

}  // namespace aio::golden
