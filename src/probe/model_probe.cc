// SPDX-License-Identifier: Apache-2.0
#include "probe/model_probe.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <utility>

#include "probe/calibration.h"

namespace aio::probe {
namespace {

// One word each for code, math, qa, chat, summarize, extract, translate,
// creative: what a model would say, and most vocabularies have as one token.
constexpr std::array<std::string_view, core::kLabels> kWords = {
    "code",    "math", "question",    "chat",
    "summary", "data", "translation", "story"};
constexpr std::string_view kLetters = "ABCDEFGH";

// Asks for a letter where words are not single tokens.
std::string LetterSuffix(const std::string& suffix) {
  std::string text = "Categories:";
  for (size_t i = 0; i < core::kLabels; ++i) {
    text += i == 0 ? " " : ", ";
    text += kLetters[i];
    text += " ";
    text += core::kLabelNames[i];
  }
  return text + ". " + suffix;
}

LabelTexts Words(const std::string& before) {
  LabelTexts labels;
  for (size_t i = 0; i < core::kLabels; ++i) {
    labels[i] = before + std::string(kWords[i]);
  }
  return labels;
}

LabelTexts Letters(const std::string& before) {
  LabelTexts labels;
  for (size_t i = 0; i < core::kLabels; ++i) labels[i] = before + kLetters[i];
  return labels;
}

Error Wrong(const char* key, const std::string& message) {
  return {ErrorCode::kInvalidArgument, std::string(key) + ": " + message, key};
}

Result<void> Check(const ModelProbe::Options& options) {
  if (options.suffix.empty()) {
    return Wrong("probe.suffix", "must not be empty");
  }
  // Written so that a NaN fails too.
  if (!(options.temperature > 0)) {
    return Wrong("probe.temperature", "must be more than 0");
  }
  std::set<std::string> distinct(options.labels.begin(), options.labels.end());
  if (distinct.size() == 1 && distinct.count("") == 1) return {};
  for (size_t i = 0; i < core::kLabels; ++i) {
    if (options.labels[i].empty()) {
      return Wrong("probe.labels", "'" + std::string(core::kLabelNames[i]) +
                                       "' is missing; name all or none");
    }
  }
  if (distinct.size() != core::kLabels) {
    return Wrong("probe.labels", "two labels have the same token");
  }
  return {};
}

bool Usable(const core::Scores& scores) {
  if (scores.logits.size() != core::kLabels) return false;
  return std::all_of(scores.logits.begin(), scores.logits.end(),
                     [](float x) { return std::isfinite(x); });
}

const Error kUnusable{ErrorCode::kInternal,
                      "the backend's scores are not one number a label", ""};

}  // namespace

Result<std::shared_ptr<ModelProbe>> ModelProbe::Make(
    std::shared_ptr<core::Backend> backend, Executor* executor,
    Options options) {
  RETURN_IF_ERROR(Check(options));
  return std::shared_ptr<ModelProbe>(
      new ModelProbe(std::move(backend), executor, std::move(options)));
}

ModelProbe::ModelProbe(std::shared_ptr<core::Backend> backend,
                       Executor* executor, Options options)
    : backend_(std::move(backend)),
      executor_(executor),
      options_(std::move(options)) {
  if (!options_.labels[0].empty()) {
    forms_.push_back({options_.suffix, options_.labels});
    return;
  }
  forms_.push_back({options_.suffix, Words(" ")});
  forms_.push_back({options_.suffix, Words("")});
  forms_.push_back({LetterSuffix(options_.suffix), Letters(" ")});
  forms_.push_back({LetterSuffix(options_.suffix), Letters("")});
}

core::ScoreRequest ModelProbe::ScoreOf(
    const Form& form, std::shared_ptr<const core::Request> request) const {
  core::ScoreRequest score;
  score.request = std::move(request);
  score.variant = options_.variant;
  score.suffix = form.suffix;
  score.labels.assign(form.labels.begin(), form.labels.end());
  score.tokens_max = options_.tokens_max;
  return score;
}

// ---- The prior --------------------------------------------------------------

void ModelProbe::WithPrior(Time deadline, Ready ready) {
  std::shared_ptr<const Known> known;
  {
    MutexLock lock(mutex_);
    known = known_;
    if (!known) {
      waiting_.push_back(std::move(ready));
      if (std::exchange(trying_, true)) return;
    }
  }
  if (known) return ready(*known);
  TryForm(0, deadline);
}

// Scores the content-free request with one form of the question. A backend that
// does not take the labels is asked the next way.
void ModelProbe::TryForm(size_t form, Time deadline) {
  auto nothing = std::make_shared<core::Request>();
  {
    MutexLock lock(mutex_);
    nothing->id =
        "probe-prior-" + options_.variant + "-" + std::to_string(++tries_);
  }
  nothing->model = options_.variant;
  nothing->messages = {{core::Role::kUser, "N/A"}};
  auto done = [self = shared_from_this(), form, deadline,
               nothing](Result<core::Scores> scores) {
    // What the backend keeps for a Start that never comes.
    self->backend_->Cancel(nothing->id);
    if (!scores) {
      const ErrorCode code = scores.error().code;
      const bool labels = code == ErrorCode::kInvalidArgument ||
                          code == ErrorCode::kUnsupported;
      if (labels && form + 1 < self->forms_.size()) {
        return self->TryForm(form + 1, deadline);
      }
      return self->Settle(std::move(scores).error());
    }
    if (!Usable(*scores)) return self->Settle(kUnusable);
    self->Settle(Known{self->forms_[form], std::move(scores->logits)});
  };
  backend_->Score(ScoreOf(forms_[form], nothing), deadline, std::move(done));
}

// Success is kept for good; after an error the next one who asks tries again.
void ModelProbe::Settle(Result<Known> known) {
  std::vector<Ready> waiting;
  {
    MutexLock lock(mutex_);
    trying_ = false;
    if (known) known_ = std::make_shared<const Known>(*known);
    waiting.swap(waiting_);
  }
  for (const Ready& ready : waiting) ready(known);
}

void ModelProbe::Prepare(Time deadline,
                         std::function<void(Result<void>)> done) {
  WithPrior(deadline, [done = std::move(done)](const Result<Known>& known) {
    done(known ? Result<void>() : Result<void>(known.error()));
  });
}

// ---- Asking -----------------------------------------------------------------

void ModelProbe::Ask(std::shared_ptr<const core::Request> request,
                     std::shared_ptr<const core::Prepared> prepared,
                     Time deadline, Done done) {
  auto ready = [self = shared_from_this(), request = std::move(request),
                prepared = std::move(prepared), deadline,
                done = std::move(done)](const Result<Known>& known) {
    if (!known) return done(known.error());
    const auto late = [self, deadline] {
      return self->executor_->Now() > deadline;
    };
    const Error too_late{ErrorCode::kDeadline, "the model probe was late", ""};
    if (late()) return done(too_late);
    core::ScoreRequest score = self->ScoreOf(known->form, request);
    score.prepared = prepared;
    self->backend_->Score(
        std::move(score), deadline,
        [self, done, late, too_late, known](Result<core::Scores> scores) {
          if (!scores) return done(std::move(scores).error());
          if (late()) return done(too_late);
          done(self->Calibrate(*known, *scores));
        });
  };
  WithPrior(deadline, std::move(ready));
}

Result<core::Intent> ModelProbe::Calibrate(const Known& known,
                                           const core::Scores& scores) const {
  if (!Usable(scores)) return kUnusable;
  Logits x;
  for (size_t i = 0; i < core::kLabels; ++i) {
    x[i] = scores.logits[i];
    if (options_.prior) x[i] -= known.prior[i];
  }
  core::Intent intent;
  intent.probabilities = Softmax(x, options_.temperature);
  intent.source = core::IntentSource::kModel;
  return intent;
}

}  // namespace aio::probe
