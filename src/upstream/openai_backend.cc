// SPDX-License-Identifier: Apache-2.0
#include "upstream/openai_backend.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "openai/answer.h"
#include "upstream/body.h"
#include "upstream/labels.h"

namespace aio::upstream {
namespace {

namespace asio = boost::asio;

constexpr std::string_view kDone = "[DONE]";

bool IsHeaderSafe(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c > ' ' && c <= '~'; });
}

std::string TargetOf(const core::Request& request) {
  return request.chat ? "/chat/completions" : "/completions";
}

// Whether an error says that the upstream is not well, as opposed to our
// request or its being busy.
bool IsFailure(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kDeadline ||
         code == ErrorCode::kCorrupt;
}

}  // namespace

// What the backend's calls have in common. Outlives the backend while an
// exchange runs.
struct OpenAiBackend::Shared
    : public std::enable_shared_from_this<OpenAiBackend::Shared> {
  struct VariantState {
    std::string model;
    int running = 0;
    uint64_t admissions = 0;
    double bytes_per_token = 4;
  };
  struct Running {
    std::string request_id;
    std::string variant;
    // The exchange's coroutine owns it; so does nothing when `io` goes away.
    std::weak_ptr<Exchange> exchange;
  };
  struct Job {
    std::string request_id;
    std::string variant;
    std::string target;
    std::string body;
    Time deadline = Time::max();
  };

  Shared(Options options_in, Endpoint endpoint_in, asio::any_io_executor io_in,
         Executor* clock_in)
      : options(std::move(options_in)),
        endpoint(std::move(endpoint_in)),
        io(std::move(io_in)),
        clock(clock_in) {
    for (const auto& [name, model] : options.variants) {
      variants[name] = {model, 0, 0, options.bytes_per_token};
    }
  }

  Result<std::string> ModelOf(std::string_view variant) {
    const MutexLock lock(mutex);
    const auto it = variants.find(variant);
    if (it != variants.end()) return it->second.model;
    return Error{
        ErrorCode::kNotFound,
        "this upstream serves no variant \"" + std::string(variant) + "\"",
        "model"};
  }

  double BytesPerToken(std::string_view variant) {
    const MutexLock lock(mutex);
    const auto it = variants.find(variant);
    return it == variants.end() ? options.bytes_per_token
                                : it->second.bytes_per_token;
  }

  int EstimatedTokens(const core::Request& request, std::string_view variant) {
    if (!request.chat && !request.prompt_tokens.empty()) {
      return static_cast<int>(request.prompt_tokens.size());
    }
    return static_cast<int>(std::ceil(
        static_cast<double>(PromptBytes(request)) / BytesPerToken(variant)));
  }

  // Follows the upstream's tokenizer and its users' language, slowly.
  void LearnBytesPerToken(const std::string& variant, int64_t bytes,
                          int tokens) {
    constexpr int64_t kBytesMin = 64;  // less is mostly the template
    constexpr double kWeight = 0.1;
    if (bytes < kBytesMin || tokens <= 0) return;
    const double seen =
        std::clamp(static_cast<double>(bytes) / tokens, 0.5, 16.0);
    const MutexLock lock(mutex);
    double& mean = variants[variant].bytes_per_token;
    mean += kWeight * (seen - mean);
  }

  void Report(const std::optional<ErrorCode>& error) {
    if (error && !IsFailure(*error)) return;
    const MutexLock lock(mutex);
    if (error) {
      failed_at = clock->Now();
    } else {
      failed_at.reset();
    }
  }

  Result<void> Admit(Job* job, const std::shared_ptr<Exchange>& exchange) {
    const MutexLock lock(mutex);
    if (closed) {
      return Error{ErrorCode::kCancelled, "the backend is closing", ""};
    }
    if (static_cast<int>(running.size()) >= options.requests_max) {
      return Error{ErrorCode::kOverloaded,
                   std::to_string(options.requests_max) +
                       " requests are at this upstream already",
                   ""};
    }
    VariantState& state = variants[job->variant];
    ++state.running;
    ++state.admissions;
    running[exchange.get()] = {job->request_id, job->variant, exchange};
    return {};
  }

  void Leave(const Exchange* exchange) {
    const MutexLock lock(mutex);
    const auto it = running.find(exchange);
    if (it == running.end()) return;
    --variants[it->second.variant].running;
    running.erase(it);
  }

  // An error is returned, and then neither callback runs.
  Result<void> Run(Job job, Exchange::OnMessage on_message,
                   Exchange::OnEnd on_end) {
    Call call;
    call.endpoint = endpoint;
    call.target = job.target;
    if (!options.api_key.empty()) {
      call.authorization = "Bearer " + options.api_key;
    }
    call.request_id = job.request_id;
    call.body = std::move(job.body);
    call.deadline = job.deadline;
    const auto exchange =
        std::make_shared<Exchange>(io, clock, options.limits, std::move(call));
    exchange->Listen(std::move(on_message),
                     [self = shared_from_this(), key = exchange.get(),
                      on_end = std::move(on_end)](Result<void> result) {
                       self->Leave(key);
                       on_end(std::move(result));
                     });
    RETURN_IF_ERROR(Admit(&job, exchange));
    exchange->Start();
    return {};
  }

  // Stops every exchange of `request_id`, or all of them.
  void Stop(const std::string_view* request_id, const char* why) {
    std::vector<std::shared_ptr<Exchange>> stopped;
    {
      const MutexLock lock(mutex);
      if (request_id == nullptr) closed = true;
      for (const auto& [key, entry] : running) {
        if (request_id != nullptr && entry.request_id != *request_id) continue;
        if (auto exchange = entry.exchange.lock()) {
          stopped.push_back(std::move(exchange));
        }
      }
    }
    for (const auto& exchange : stopped) {
      exchange->Stop(Error{ErrorCode::kCancelled, why, ""});
    }
  }

  const Options options;
  const Endpoint endpoint;
  const asio::any_io_executor io;
  Executor* const clock;

  Mutex mutex;
  std::map<std::string, VariantState, std::less<>> variants GUARDED_BY(mutex);
  std::map<const Exchange*, Running> running GUARDED_BY(mutex);
  std::optional<Time> failed_at GUARDED_BY(mutex);
  bool closed GUARDED_BY(mutex) = false;
  // Whether the upstream may know how to continue a message.
  bool continues GUARDED_BY(mutex) = true;
};

// One request being answered: messages of the wire into calls of its sink.
// Runs on its exchange's strand.
class OpenAiBackend::Serving
    : public std::enable_shared_from_this<OpenAiBackend::Serving> {
 public:
  Serving(std::shared_ptr<Shared> shared,
          std::shared_ptr<const core::Request> request, core::Plan plan,
          std::shared_ptr<core::Sink> sink)
      : shared_(std::move(shared)),
        request_(std::move(request)),
        plan_(std::move(plan)),
        sink_(std::move(sink)),
        finished_(static_cast<size_t>(std::max(request_->choices, 1))) {}

  Result<void> Begin() {
    ASSIGN_OR_RETURN(const std::string model, shared_->ModelOf(plan_.variant));
    if (plan_.strategy == core::Strategy::kLookup ||
        plan_.strategy == core::Strategy::kDraft) {
      return Error{ErrorCode::kInvalidArgument,
                   "the variant '" + plan_.variant +
                       "' is an upstream, which nobody can ask for drafts; "
                       "aio.speculation may be auto or off",
                   "aio.speculation"};
    }
    Shared::Job job;
    job.request_id = request_->id;
    job.variant = plan_.variant;
    job.target = TargetOf(*request_);
    ASSIGN_OR_RETURN(job.body,
                     ServingBody(*request_, model, plan_.seed,
                                 {shared_->options.thinking, plan_.thinking}));
    return shared_->Run(
        std::move(job),
        [self = shared_from_this()](std::string_view message) {
          return self->OnMessage(message);
        },
        [self = shared_from_this()](Result<void> result) {
          self->OnEnd(std::move(result));
        });
  }

 private:
  Result<bool> OnMessage(std::string_view message) {
    if (message == kDone) return done_ = true;
    auto answer =
        openai::ParseAnswer(message, static_cast<int>(finished_.size()));
    if (!answer) return ForClients(std::move(answer).error());
    if (!std::exchange(started_, true)) OnFirst(*answer);
    for (core::Delta& delta : answer->deltas) {
      if (!delta.text.empty() || !delta.reasoning.empty()) ++pieces_;
      sink_->OnDelta(std::move(delta));
    }
    for (const auto& finish : answer->finished) {
      finished_[static_cast<size_t>(finish.choice)] = finish.reason;
    }
    if (answer->usage) usage_ = answer->usage;
    return false;
  }

  void OnFirst(const openai::Answer& answer) {
    core::Served served;
    served.variant = plan_.variant;
    served.strategy = core::Strategy::kPlain;  // as far as we know
    served.fingerprint = answer.fingerprint;
    served.seed = request_->sampling.seed ? plan_.seed : WireSeed(plan_.seed);
    sink_->OnStart(served);
  }

  void OnEnd(Result<void> result) {
    Result<core::Done> done =
        result ? Completed() : Result<core::Done>(std::move(result).error());
    shared_->Report(done ? std::nullopt
                         : std::optional<ErrorCode>(done.error().code));
    // The sink goes first: its owner may destroy the backend from OnDone.
    const std::shared_ptr<core::Sink> sink = std::exchange(sink_, nullptr);
    sink->OnDone(std::move(done));
  }

  Result<core::Done> Completed() const {
    core::Done done;
    for (const auto& reason : finished_) {
      if (!reason && done_) {
        return Error{ErrorCode::kCorrupt,
                     "the upstream ended its answer without a finish reason",
                     ""};
      }
      if (!reason) {
        return Error{ErrorCode::kUnavailable,
                     "the upstream ended in the middle of its answer", ""};
      }
      done.finish.push_back(*reason);
    }
    if (usage_) {
      done.usage = *usage_;
      shared_->LearnBytesPerToken(plan_.variant, PromptBytes(*request_),
                                  usage_->prompt_tokens);
    } else {
      // A server that does not count: nearly all send a token at a time.
      done.usage.prompt_tokens =
          shared_->EstimatedTokens(*request_, plan_.variant);
      done.usage.completion_tokens = pieces_;
    }
    return done;
  }

  const std::shared_ptr<Shared> shared_;
  const std::shared_ptr<const core::Request> request_;
  const core::Plan plan_;
  std::shared_ptr<core::Sink> sink_;
  std::vector<std::optional<core::FinishReason>> finished_;  // [choice]
  std::optional<core::Usage> usage_;
  int pieces_ = 0;
  bool started_ = false;
  bool done_ = false;
};

// One question of one token; two exchanges if the upstream refuses the first
// form. Runs on its exchange's strand.
class OpenAiBackend::Scoring
    : public std::enable_shared_from_this<OpenAiBackend::Scoring> {
 public:
  Scoring(std::shared_ptr<Shared> shared, core::ScoreRequest request,
          Time deadline, ScoreDone done)
      : shared_(std::move(shared)),
        request_(std::move(request)),
        deadline_(deadline),
        done_(std::move(done)) {}

  Result<void> Begin() {
    {
      const MutexLock lock(shared_->mutex);
      const bool exact = shared_->continues && request_.request->chat;
      form_ = exact ? SuffixForm::kContinued : SuffixForm::kInUserTurn;
    }
    return Ask();
  }

 private:
  Result<void> Ask() {
    ASSIGN_OR_RETURN(const std::string model,
                     shared_->ModelOf(request_.variant));
    const double bytes_max =
        shared_->BytesPerToken(request_.variant) * request_.tokens_max;
    Shared::Job job;
    job.request_id = request_.request->id;
    job.variant = request_.variant;
    job.target = TargetOf(*request_.request);
    job.deadline = deadline_;
    ASSIGN_OR_RETURN(
        job.body, ScoringBody(*request_.request, model, request_.suffix, form_,
                              static_cast<size_t>(std::max(bytes_max, 0.0))));
    return shared_->Run(
        std::move(job),
        [self = shared_from_this()](std::string_view message) {
          return self->OnMessage(message);
        },
        [self = shared_from_this()](Result<void> result) {
          self->OnEnd(std::move(result));
        });
  }

  Result<bool> OnMessage(std::string_view message) {
    if (message == kDone) return true;
    auto answer = openai::ParseAnswer(message, 1);
    if (!answer) return ForClients(std::move(answer).error());
    for (core::Delta& delta : answer->deltas) {
      if (!token_ && !delta.logprobs.empty()) {
        token_ = std::move(delta.logprobs.front());
      }
    }
    if (answer->usage) tokens_ = answer->usage->prompt_tokens;
    return false;
  }

  void OnEnd(Result<void> result) {
    const bool refused =
        !result && result.error().code == ErrorCode::kInvalidArgument;
    if (refused && form_ == SuffixForm::kContinued) {
      form_ = SuffixForm::kInUserTurn;
      fell_back_ = true;
      const Result<void> asked = Ask();
      if (!asked) done_(asked.error());
      return;
    }
    // A missed deadline is the prober's impatience, not a sick upstream.
    if (result || result.error().code != ErrorCode::kDeadline) {
      shared_->Report(result ? std::nullopt
                             : std::optional<ErrorCode>(result.error().code));
    }
    if (result && fell_back_) {
      const MutexLock lock(shared_->mutex);
      shared_->continues = false;
    }
    done_(result ? Scored() : Result<core::Scores>(result.error()));
  }

  Result<core::Scores> Scored() const {
    if (!token_ || token_->top.empty()) {
      return Error{ErrorCode::kUnsupported,
                   "the upstream sends no logprobs, so it cannot score", ""};
    }
    core::Scores scores;
    ASSIGN_OR_RETURN(scores.logits, LabelLogits(*token_, request_.labels));
    scores.tokens = tokens_ > 0 ? tokens_
                                : shared_->EstimatedTokens(*request_.request,
                                                           request_.variant);
    return scores;
  }

  const std::shared_ptr<Shared> shared_;
  const core::ScoreRequest request_;
  const Time deadline_;
  const ScoreDone done_;
  SuffixForm form_ = SuffixForm::kContinued;
  bool fell_back_ = false;
  std::optional<core::TokenLogprob> token_;
  int tokens_ = 0;
};

Result<std::shared_ptr<OpenAiBackend>> OpenAiBackend::Make(
    Options options, asio::any_io_executor io, Executor* clock) {
  ASSIGN_OR_RETURN(Endpoint endpoint, ParseEndpoint(options.url));
  if (!IsHeaderSafe(options.api_key)) {
    return Error{ErrorCode::kInvalidArgument,
                 "the upstream's key has spaces or control characters in it",
                 "api_key_env"};
  }
  auto shared = std::make_shared<Shared>(
      std::move(options), std::move(endpoint), std::move(io), clock);
  return std::shared_ptr<OpenAiBackend>(new OpenAiBackend(std::move(shared)));
}

OpenAiBackend::OpenAiBackend(std::shared_ptr<Shared> shared)
    : shared_(std::move(shared)) {}

OpenAiBackend::~OpenAiBackend() {
  shared_->Stop(nullptr, "the backend is closing");
}

core::Snapshot OpenAiBackend::View(std::string_view variant) const {
  core::Snapshot snapshot;
  const Time now = shared_->clock->Now();
  const MutexLock lock(shared_->mutex);
  const auto it = shared_->variants.find(variant);
  if (it != shared_->variants.end()) {
    snapshot.running = it->second.running;
    snapshot.admissions = it->second.admissions;
  }
  snapshot.healthy = !shared_->failed_at || now - *shared_->failed_at >=
                                                shared_->options.unhealthy_for;
  return snapshot;
}

void OpenAiBackend::Peek(std::shared_ptr<const core::Request> request,
                         std::string_view variant,
                         std::optional<core::Thinking>, PeekDone done) {
  const auto model = shared_->ModelOf(variant);
  if (!model) return done(model.error());
  core::PromptSize size;
  size.tokens = shared_->EstimatedTokens(*request, variant);
  size.exact = false;
  done(std::move(size));
}

void OpenAiBackend::Start(std::shared_ptr<const core::Request> request,
                          core::Plan plan, std::shared_ptr<core::Sink> sink) {
  const auto serving = std::make_shared<Serving>(shared_, std::move(request),
                                                 std::move(plan), sink);
  const Result<void> begun = serving->Begin();
  if (begun) return;
  asio::post(shared_->io, [sink = std::move(sink), error = begun.error()] {
    sink->OnDone(error);
  });
}

void OpenAiBackend::Cancel(std::string_view request_id) {
  shared_->Stop(&request_id, "cancelled");
}

void OpenAiBackend::Score(core::ScoreRequest request, Time deadline,
                          ScoreDone done) {
  const auto scoring =
      std::make_shared<Scoring>(shared_, std::move(request), deadline, done);
  const Result<void> asked = scoring->Begin();
  if (asked) return;
  asio::post(shared_->io,
             [done = std::move(done), error = asked.error()] { done(error); });
}

}  // namespace aio::upstream
