// SPDX-License-Identifier: Apache-2.0
//
// A complete Forward without weights, for tests of what stands above the seam.
// Its KV pages hold the tokens themselves; the logits of a column are a hash of
// all tokens that its page table leads to. A page mixed up, shared wrongly or
// overwritten changes the text, as with a real model.
//
// Thread safety: none.
#pragma once

#include <algorithm>
#include <functional>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "model/forward.h"

namespace aio::model {

class HashForward : public Forward {
 public:
  struct Options {
    int vocabulary = 64;
    int context = 128;
    int layers = 4;
    int columns = 64;
    int pages = 16;
    uint64_t seed = 1;
    bool nested = false;  // logits depend on the views of all columns so far
    std::function<void()> on_layer = {};  // a test may turn its clock here
  };

  explicit HashForward(const Options& options)
      : options_(options), kv_(options.pages * kPageTokens, -1) {}

  int vocabulary() const override { return options_.vocabulary; }
  int context_tokens_max() const override { return options_.context; }
  int layers() const override { return options_.layers; }
  int columns_max() const override { return options_.columns; }
  int pages() const override { return options_.pages; }
  int64_t weight_bytes() const override { return 1000; }
  bool nested() const override { return options_.nested; }
  int64_t coarse_weight_bytes() const override {
    return options_.nested ? 600 : weight_bytes();
  }
  int64_t kv_bytes_per_token() const override { return 10; }

  void CopyPage(int32_t from, int32_t to) override {
    CHECK(layer_ < 0);
    for (int i = 0; i < kPageTokens; ++i) {
      kv_.at(to * kPageTokens + i) = kv_.at(from * kPageTokens + i);
    }
  }
  void Begin(std::span<const Column> columns) override {
    CHECK(layer_ < 0 && !columns.empty());
    CHECK(static_cast<int>(columns.size()) <= options_.columns);
    CHECK(!options_.nested ||
          std::ranges::is_sorted(columns, std::greater<>(), &Column::bits));
    columns_.assign(columns.begin(), columns.end());
    layer_ = 0;
  }
  bool Advance(int layers) override {
    CHECK(layer_ >= 0);
    for (; layers > 0 && layer_ <= options_.layers; --layers) {
      if (options_.on_layer) options_.on_layer();
      ++layer_;
    }
    if (layer_ <= options_.layers) return false;
    for (const Column& c : columns_) {
      At(c, c.position) = options_.nested ? In(c.token, c.bits) : c.token;
    }
    logits_.clear();
    for (const Column& c : columns_) {
      if (c.logits) logits_.push_back(LogitsOf(c));
    }
    layer_ = -1;
    return true;
  }
  void Skip(int layers) override {
    CHECK(layer_ >= 0 && layers >= 0 && layer_ + layers < options_.layers);
    layer_ += layers;
  }
  std::span<const float> Logits(int i) const override { return logits_.at(i); }

  // Tokens as a view of nested weights sees them, for Expected.
  static int32_t In(int32_t token, int bits) { return token + 256 * bits; }
  static std::vector<int32_t> In(std::vector<int32_t> tokens, int bits) {
    for (int32_t& token : tokens) token = In(token, bits);
    return tokens;
  }

  // What the whole sequence must lead to, for comparison.
  static std::vector<float> Expected(const Options& options,
                                     std::span<const int32_t> tokens) {
    uint64_t h = options.seed;
    for (const int32_t token : tokens)
      h = Mix(h ^ static_cast<uint64_t>(token));
    std::vector<float> logits;
    for (int i = 0; i < options.vocabulary; ++i) {
      logits.push_back(static_cast<float>(4 * RandomUnit(h, 0, i)));
    }
    return logits;
  }

 private:
  int32_t& At(const Column& c, int position) {
    const int32_t page = c.pages[position / kPageTokens];
    return kv_.at(page * kPageTokens + position % kPageTokens);
  }
  std::vector<float> LogitsOf(const Column& c) {
    std::vector<int32_t> tokens;
    for (int p = 0; p <= c.position; ++p) tokens.push_back(At(c, p));
    return Expected(options_, tokens);
  }

  Options options_;
  std::vector<int32_t> kv_;  // [page, position in page]
  std::vector<Column> columns_;
  std::vector<std::vector<float>> logits_;
  int layer_ = -1;  // -1: no step under way
};

}  // namespace aio::model
