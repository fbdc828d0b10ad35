// SPDX-License-Identifier: Apache-2.0
#include "upstream/serving.h"

#include <algorithm>
#include <utility>

#include "openai/splice.h"
#include "upstream/body.h"

namespace aio::upstream {
namespace {

constexpr std::string_view kDone = "[DONE]";

bool Embeds(const core::Request& request) {
  return (request.needs & core::Bit(core::Feature::kEmbeddings)) != 0;
}

// The usage object of a message, on one line.
std::string UsageText(std::string_view message) {
  const std::string_view usage = openai::ValueText(message, "usage");
  return usage.starts_with('{') ? openai::Spliced(usage, {}) : "";
}

}  // namespace

OpenAiBackend::Serving::Serving(std::shared_ptr<Shared> shared,
                                std::shared_ptr<const core::Request> request,
                                core::Plan plan,
                                std::shared_ptr<core::Sink> sink)
    : shared_(std::move(shared)),
      request_(std::move(request)),
      plan_(std::move(plan)),
      embeds_(Embeds(*request_)),
      sink_(std::move(sink)),
      finished_(static_cast<size_t>(std::max(request_->choices, 1))) {}

Result<void> OpenAiBackend::Serving::Begin() {
  ASSIGN_OR_RETURN(const std::string model, shared_->ModelOf(plan_.variant));
  if (plan_.strategy == core::Strategy::kLookup ||
      plan_.strategy == core::Strategy::kDraft) {
    return Error{ErrorCode::kInvalidArgument,
                 "the variant '" + plan_.variant +
                     "' is an upstream, which nobody can ask for drafts; "
                     "aio.speculation may be auto or off",
                 "aio.speculation"};
  }
  Replica::Job job;
  job.request_id = request_->id;
  job.target = embeds_ ? "/embeddings" : TargetOf(*request_);
  job.streamed = request_->streamed;
  job.body = ServingBody(*request_, model,
                         {shared_->options.thinking, plan_.thinking});
  const auto self = shared_from_this();
  return shared_->replica->Run(
      std::move(job),
      [self](std::string_view message) { return self->OnMessage(message); },
      [self](const Ended& ended) { return self->OnEnd(ended); });
}

Result<bool> OpenAiBackend::Serving::OnMessage(std::string_view message) {
  if (message == kDone) return done_ = true;
  if (embeds_) return OnEmbeddings(message);
  auto answer =
      openai::ParseAnswer(message, static_cast<int>(finished_.size()));
  if (!answer) return ForClients(std::move(answer).error());
  if (!std::exchange(started_, true)) OnFirst(*answer);
  const bool whole = !request_->streamed;
  if (whole) raw_.raw_json = message;
  for (core::Delta& delta : answer->deltas) {
    if (!delta.text.empty() || !delta.reasoning.empty()) ++pieces_;
    if (whole) delta.raw_json.clear();
    sink_->OnDelta(std::move(delta));
  }
  for (const auto& finish : answer->finished) {
    finished_[static_cast<size_t>(finish.choice)] = finish.reason;
  }
  if (answer->usage) {
    usage_ = answer->usage;
    if (!whole) raw_.raw_usage = UsageText(message);
  }
  return false;
}

Result<bool> OpenAiBackend::Serving::OnEmbeddings(std::string_view message) {
  auto usage = openai::ParseEmbeddings(message);
  if (!usage) return ForClients(std::move(usage).error());
  OnFirst({});
  usage_ = *usage;
  raw_.raw_json = message;
  finished_.assign(1, core::FinishReason::kStop);
  return false;
}

void OpenAiBackend::Serving::OnFirst(const openai::Answer& answer) {
  core::Served served;
  served.variant = plan_.variant;
  served.strategy = core::Strategy::kPlain;  // as far as we know
  served.fingerprint = answer.fingerprint;
  served.seed = request_->sampling.seed;
  sink_->OnStart(served);
}

Result<void> OpenAiBackend::Serving::OnEnd(const Ended& ended) {
  Result<core::Done> done =
      ended.result ? Completed() : Result<core::Done>(ended.result.error());
  // The sink goes first: its owner may destroy the backend from OnDone.
  const std::shared_ptr<core::Sink> sink = std::exchange(sink_, nullptr);
  const Result<void> verdict = done ? Result<void>() : done.error();
  sink->OnDone(std::move(done));
  return verdict;
}

Result<core::Done> OpenAiBackend::Serving::Completed() {
  core::Done done = std::move(raw_);
  for (const auto& reason : finished_) {
    if (!reason && (done_ || !request_->streamed)) {
      return Error{ErrorCode::kCorrupt,
                   "the upstream ended its answer without a finish reason", ""};
    }
    if (!reason) {
      return Error{ErrorCode::kUnavailable,
                   "the upstream ended in the middle of its answer", ""};
    }
    done.finish.push_back(*reason);
  }
  shared_->Answered(request_, plan_.variant,
                    usage_ ? usage_->prompt_tokens : 0);
  if (usage_) {
    done.usage = *usage_;
  } else {
    // A server that does not count: nearly all send a token at a time.
    done.usage.prompt_tokens =
        shared_->EstimatedTokens(*request_, plan_.variant);
    done.usage.completion_tokens = pieces_;
  }
  return done;
}

}  // namespace aio::upstream
