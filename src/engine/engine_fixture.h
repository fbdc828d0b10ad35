// SPDX-License-Identifier: Apache-2.0
//
// An engine with two models, `small` and `large`, whose texts are hashes
// (model/hash_forward.h), stepped by hand on a clock turned by hand.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/manual_executor.h"
#include "engine/engine.h"
#include "model/hash_forward.h"

namespace aio::engine {

using model::HashForward;

// Ids 0..61 are printable characters, 62 begins and 63 ends a text.
class LetterTokenizer : public tokenizer::Tokenizer {
 public:
  using Tokenizer::Encode;
  std::vector<int32_t> Encode(const tokenizer::Spans& spans,
                              bool add_bos) const override {
    std::vector<int32_t> ids;
    if (add_bos) ids.push_back(62);
    for (const auto& span : spans) {
      for (const char c : span.text) ids.push_back((c - '0') % 62);
    }
    return ids;
  }
  std::string_view Bytes(int32_t id, bool) const override {
    return id < 62 ? std::string_view(letters_).substr(id, 1) : "";
  }
  std::string_view Piece(int32_t id) const override { return Bytes(id, true); }
  int32_t Find(std::string_view piece) const override {
    const size_t at = letters_.find(piece);
    return at == std::string::npos ? -1 : static_cast<int32_t>(at);
  }
  int32_t vocabulary() const override { return 64; }
  int32_t bos() const override { return 62; }
  int32_t eos() const override { return 63; }
  bool IsEnd(int32_t id) const override { return !endless && id == 63; }

  bool endless = false;  // texts end by their length alone

 private:
  std::string letters_ = [] {
    std::string s;
    for (char c = '0'; s.size() < 62; ++c) s += c;
    return s;
  }();
};

struct Answer : core::Sink {
  bool started = false;
  std::map<int, std::string> text;  // [choice]
  std::vector<core::TokenLogprob> logprobs;
  std::optional<Result<core::Done>> done;

  void OnStart(const core::Served&) override {
    EXPECT_FALSE(started);
    started = true;
  }
  void OnDelta(core::Delta delta) override {
    EXPECT_TRUE(started);
    EXPECT_FALSE(done.has_value());
    text[delta.choice] += delta.text;
    for (auto& l : delta.logprobs) logprobs.push_back(std::move(l));
  }
  void OnDone(Result<core::Done> result) override {
    EXPECT_FALSE(done.has_value()) << "OnDone twice";
    done = std::move(result);
  }
  bool ok() const { return done && done->has_value(); }
};

class EngineTest : public testing::Test {
 protected:
  // A nested model serves a variant for each view: small, small@4, small@auto.
  static std::vector<ModelView> ViewsOf(const std::string& name, bool nested) {
    if (!nested) return {{.variant = name, .fingerprint = "hash"}};
    return {{name, "hash", core::View::k8},
            {name + "@4", "hash4", core::View::k4},
            {name + "@auto", "hash-auto", core::View::kAuto}};
  }
  void Make(const HashForward::Options& small = {},
            const sched::Options& sched = {}) {
    small_ = small;
    engine_.reset();
    std::vector<Model> models;
    for (const auto& [name, options] :
         {std::pair{"small", small}, std::pair{"large", large_}}) {
      Model m;
      m.views = ViewsOf(name, options.nested);
      m.forward = std::make_unique<HashForward>(options);
      m.tokenizer = tokenizer_;
      m.sched = sched;
      m.speculation = speculation_;
      if (name == std::string("large")) m.draft = draft_;
      models.push_back(std::move(m));
    }
    Options options;
    options.slice = slice_;
    engine_ = std::make_unique<Engine>(std::move(models), options, &clock_,
                                       &metrics_);
  }
  std::shared_ptr<core::Request> Ask(const std::string& id) {
    auto r = std::make_shared<core::Request>();
    r->id = id;
    r->max_tokens = 40;
    r->sampling.temperature = 1;
    return r;
  }
  std::shared_ptr<Answer> Start(
      std::shared_ptr<core::Request> request, std::vector<int32_t> prompt,
      const std::string& variant = "small",
      core::Strategy strategy = core::Strategy::kAuto) {
    auto sink = std::make_shared<Answer>();
    core::Plan plan;
    plan.variant = variant;
    plan.strategy = strategy;
    plan.seed = request->sampling.seed.value_or(1);
    EXPECT_TRUE(engine_->Submit(GenerateJob{
        std::move(request), plan, std::move(prompt), sink, shown_, given_}));
    return sink;
  }
  // Asks and waits for the answer.
  std::shared_ptr<Answer> Serve(std::shared_ptr<core::Request> request,
                                std::vector<int32_t> prompt,
                                const std::string& variant = "small") {
    auto sink = Start(std::move(request), std::move(prompt), variant);
    Finish();
    EXPECT_TRUE(sink->ok());
    return sink;
  }
  void Finish() {
    for (int i = 0; engine_->Step(); ++i) ASSERT_LT(i, 100000);
  }
  // The answer by the definition of decoding, no engine involved.
  std::string Expected(const core::Request& request,
                       std::vector<int32_t> tokens, int choice = 0,
                       std::vector<core::TokenLogprob>* logprobs = nullptr,
                       const std::string& variant = "small") {
    const HashForward::Options& model =
        variant.starts_with("large") ? large_ : small_;
    const int bits = variant.ends_with("@4") ? 4 : 8;
    Choice c(request, request.sampling.seed.value_or(1), choice, tokens,
             tokenizer_,
             std::min<int>(*request.max_tokens,
                           model.context - static_cast<int>(tokens.size())));
    std::string text;
    while (!c.finish()) {
      core::Delta delta = c.Push(HashForward::Expected(
          model, model.nested ? HashForward::In(tokens, bits) : tokens));
      text += delta.text;
      for (auto& l : delta.logprobs) {
        if (logprobs != nullptr) logprobs->push_back(std::move(l));
      }
      tokens.push_back(c.last_token());
    }
    return text;
  }

  double Metric(const std::string& name) {
    const std::string text = metrics_.Export();
    const size_t at = text.find("\n" + name + " ");
    if (at == std::string::npos) return -1;
    return std::stod(text.substr(at + name.size() + 2));
  }

  sched::SpeculationOptions speculation_;
  std::string draft_;           // the draft model of `large`; empty: none
  std::vector<int32_t> given_;  // GenerateJob::draft
  int shown_ = 0;               // GenerateJob::shown_tokens
  Duration slice_{0};           // every layer is a slice of its own
  HashForward::Options small_;
  HashForward::Options large_ = {.seed = 2};
  ManualExecutor clock_;
  Metrics metrics_;
  std::shared_ptr<LetterTokenizer> tokenizer_ =
      std::make_shared<LetterTokenizer>();
  std::unique_ptr<Engine> engine_;
};

inline ScoreJob Probe(const std::string& id, std::vector<int32_t> prompt,
                      std::optional<Result<core::Scores>>* out) {
  ScoreJob job;
  job.request_id = id;
  job.variant = "small";
  job.prompt = std::move(prompt);
  job.suffix = {9, 8};
  job.labels = {3, 4};
  job.deadline = Time::max();
  job.done = [out](Result<core::Scores> s) { *out = std::move(s); };
  return job;
}

}  // namespace aio::engine
