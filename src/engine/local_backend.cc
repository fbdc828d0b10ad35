// SPDX-License-Identifier: Apache-2.0
#include "engine/local_backend.h"

#include <algorithm>
#include <utility>

namespace aio::engine {

struct LocalBackend::Text {
  std::map<std::string, PromptBuilder, std::less<>> builders;  // by variant

  Result<const PromptBuilder*> Find(std::string_view variant) const {
    const auto it = builders.find(variant);
    if (it != builders.end()) return &it->second;
    return Error{ErrorCode::kNotFound,
                 "no variant '" + std::string(variant) + "' here", ""};
  }

  // The prompt made while peeking, or made now.
  Result<Prompt> PromptOf(
      const core::Request& request, std::string_view variant,
      std::optional<core::Thinking> thinking,
      const std::shared_ptr<const core::Prepared>& prepared) const {
    const auto* ready = dynamic_cast<const PreparedPrompt*>(prepared.get());
    if (ready != nullptr && ready->variant() == variant) {
      return ready->prompt();
    }
    ASSIGN_OR_RETURN(const PromptBuilder* builder, Find(variant));
    return builder->Build(request, thinking);
  }

  std::optional<tokenizer::ThinkingMarks> MarksOf(
      std::string_view variant) const {
    const auto builder = Find(variant);
    if (!builder) return std::nullopt;
    return (*builder)->thinking.marks;
  }

  // What the engine is given to do.
  Result<GenerateJob> Generate(std::shared_ptr<const core::Request> request,
                               core::Plan plan) const;
  Result<ScoreJob> Score(const core::ScoreRequest& request) const;
};

namespace {

std::vector<int32_t> HeadAndTail(const std::vector<int32_t>& tokens, int max) {
  const int head = max / 2;
  std::vector<int32_t> out(tokens.begin(), tokens.begin() + head);
  out.insert(out.end(), tokens.end() - (max - head), tokens.end());
  return out;
}

}  // namespace

Result<GenerateJob> LocalBackend::Text::Generate(
    std::shared_ptr<const core::Request> request, core::Plan plan) const {
  ASSIGN_OR_RETURN(const PromptBuilder* builder, Find(plan.variant));
  GenerateJob job;
  ASSIGN_OR_RETURN(Prompt prompt, PromptOf(*request, plan.variant,
                                           plan.thinking, plan.prepared));
  if (request->chat) job.marks = MarksOf(plan.variant);
  job.in_thought = prompt.in_thought;
  job.prompt = std::move(prompt.tokens);
  const std::vector<int32_t> shown = builder->AnswerTokens(plan.shown_text);
  if (job.prompt.size() + shown.size() >=
      static_cast<size_t>(builder->context_tokens_max)) {
    return Error{ErrorCode::kInvalidArgument,
                 "the context of '" + plan.variant +
                     "' has no room behind what was shown",
                 ""};
  }
  job.shown_tokens = static_cast<int>(shown.size());
  job.prompt.insert(job.prompt.end(), shown.begin(), shown.end());
  job.draft = builder->AnswerTokens(plan.draft_text);
  job.request = std::move(request);
  plan.prepared.reset();
  job.plan = std::move(plan);
  return job;
}

Result<ScoreJob> LocalBackend::Text::Score(
    const core::ScoreRequest& request) const {
  ASSIGN_OR_RETURN(const PromptBuilder* builder, Find(request.variant));
  ScoreJob job;
  job.request_id = request.request->id;
  job.variant = request.variant;
  job.salt = request.request->tenant;
  job.weight = request.request->weight;
  ASSIGN_OR_RETURN(job.labels, builder->LabelTokens(request.labels));
  ASSIGN_OR_RETURN(Prompt prompt, PromptOf(*request.request, request.variant,
                                           std::nullopt, request.prepared));
  job.prompt = std::move(prompt.tokens);
  job.suffix = builder->tokenizer->Encode(request.suffix);
  if (job.suffix.empty()) {
    return Error{ErrorCode::kInvalidArgument, "the probe's suffix is empty",
                 ""};
  }
  job.whole = static_cast<int>(job.prompt.size()) <= request.tokens_max;
  if (!job.whole) job.prompt = HeadAndTail(job.prompt, request.tokens_max);
  return job;
}

LocalBackend::LocalBackend(std::vector<Resident> residents,
                           const Options& options, Executor* worker,
                           Metrics* metrics)
    : worker_(worker) {
  auto text = std::make_shared<Text>();
  std::vector<Model> models;
  for (Resident& r : residents) {
    for (const ModelView& view : r.model.views) {
      text->builders.emplace(view.variant, r.prompts);
    }
    models.push_back(std::move(r.model));
  }
  text_ = std::move(text);
  engine_ =
      std::make_shared<Engine>(std::move(models), options, worker, metrics);
  thread_ = std::thread([engine = engine_] { engine->Run(); });
}

LocalBackend::~LocalBackend() { Stop(); }

void LocalBackend::Stop() {
  engine_->Stop();
  if (thread_.joinable()) thread_.join();
}

core::Snapshot LocalBackend::View(std::string_view variant) const {
  return engine_->View(variant);
}

void LocalBackend::Peek(std::shared_ptr<const core::Request> request,
                        std::string_view variant,
                        std::optional<core::Thinking> thinking, PeekDone done) {
  worker_->Post([text = text_, engine = engine_, request = std::move(request),
                 variant = std::string(variant), thinking,
                 done = std::move(done)] {
    auto prompt = text->PromptOf(*request, variant, thinking, nullptr);
    if (!prompt) {
      done(std::move(prompt).error());
      return;
    }
    core::PromptSize size;
    size.tokens = static_cast<int>(prompt->tokens.size());
    size.cached_tokens =
        engine->CachedTokens(variant, request->tenant, prompt->tokens);
    size.prepared =
        std::make_shared<PreparedPrompt>(variant, std::move(*prompt));
    done(std::move(size));
  });
}

// Starts and cancels both go through the worker, in order: a cancel that
// overtook its own start would be lost.
void LocalBackend::Start(std::shared_ptr<const core::Request> request,
                         core::Plan plan, std::shared_ptr<core::Sink> sink) {
  worker_->Post([text = text_, engine = engine_, request = std::move(request),
                 plan = std::move(plan), sink = std::move(sink)]() mutable {
    auto job = text->Generate(std::move(request), std::move(plan));
    if (!job) {
      sink->OnDone(std::move(job).error());
      return;
    }
    job->sink = sink;
    const auto sent = engine->Submit(*std::move(job));
    if (!sent) sink->OnDone(sent.error());
  });
}

void LocalBackend::Cancel(std::string_view request_id) {
  worker_->Post(
      [engine = engine_, id = std::string(request_id)] { engine->Cancel(id); });
}

void LocalBackend::Score(core::ScoreRequest request, Time deadline,
                         ScoreDone done) {
  worker_->Post([text = text_, engine = engine_, request = std::move(request),
                 deadline, done = std::move(done)]() mutable {
    auto job = text->Score(request);
    if (!job) {
      done(std::move(job).error());
      return;
    }
    job->deadline = deadline;
    job->done = done;
    const auto sent = engine->Submit(std::move(*job));
    if (!sent) done(sent.error());
  });
}

}  // namespace aio::engine
