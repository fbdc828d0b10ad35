// SPDX-License-Identifier: Apache-2.0
//
// The seam between deciding and answering. A Backend is anything that answers:
// the embedded engine (engine/local_backend.h), a remote OpenAI-compatible
// server (upstream/openai_backend.h), a fake for tests (core/echo_backend.h).
// It hosts one or more variants; a policy chooses between variants.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "core/features.h"
#include "core/outcome.h"
#include "core/request.h"
#include "core/thinking.h"

namespace aio::core {

// What a backend made of a prompt while peeking, so that it is rendered and
// tokenized once. Opaque outside the backend that made it.
class Prepared {
 public:
  virtual ~Prepared() = default;
};

// The size of a request for one variant, before it runs.
struct PromptSize {
  int tokens = 0;
  int cached_tokens = 0;  // of those, KV exists already
  bool exact = true;  // false: estimated (an upstream's tokenizer is remote)
  std::shared_ptr<const Prepared> prepared;  // may be null
};

// A variant at this moment. Cheap to take; may be a step old. Variants that
// share weights share steps and pages: then all but `admissions` is of them
// together.
struct Snapshot {
  int running = 0;
  int queued = 0;
  int64_t pages_free = 0;
  int64_t pages_total = 0;  // 0: unknown
  // Requests admitted so far; lets the orchestrator drop the reservations that
  // this snapshot already shows.
  uint64_t admissions = 0;
  // The device's time is shared by models in proportion to it.
  double turn_weight = 1;
  // Until a step of it may begin that takes in who comes now; negative: its
  // backend cannot tell.
  double step_in_seconds = -1;
  // From then on, before another variant of its device has its turn.
  double run_seconds = 0;
  // Of the requests admitted, prompt tokens that no step has taken yet.
  int64_t prompt_tokens = 0;
  bool healthy = true;
  bool present = true;  // false: there is nothing now; not worth a word
  // Requests there that are not ours, as it says itself.
  int others = 0;
  // It takes no more for now: as many are there as it may have, or it asked to
  // be left alone for a while. Whoever waits gets in.
  bool full = false;
};

// What the policy decided, for one backend to carry out.
struct Plan {
  std::string variant;
  Strategy strategy = Strategy::kPlain;
  uint64_t seed = 0;
  std::shared_ptr<const Prepared> prepared;  // from Peek; may be null
  std::optional<Label> intent;  // the likeliest; absent: nobody has looked
  double output_tokens = 0;     // that the answer is expected to have; 0: none
  // What the answer may begin with: a hint that a backend may verify in place
  // of computing token by token, and never follows against its own sampler.
  std::string draft_text;
  // What the answer has begun with, and its reader has seen: the backend says
  // what comes behind it, and counts only that. REQUIRES: Variant::resumes.
  std::string shown_text;
  // Absent: as the variant does unless told.
  std::optional<Thinking> thinking = {};
};

// Who answers and why; becomes the response headers. The backend fills the
// first three, the orchestrator the rest.
struct Served {
  std::string variant;
  Strategy strategy = Strategy::kPlain;
  std::string fingerprint;  // system_fingerprint: build, file and target
  std::string intent;
  std::string reason;
  std::optional<uint64_t> seed = 0;  // absent: whoever answers draws its own
  // What sensing the intent took: the text probe's work, and the wait for the
  // model probe where one was asked.
  Duration probe{};
  bool deterministic = true;              // as the variant's
  std::optional<Thinking> thinking = {};  // absent: not known
};

struct TokenLogprob {
  int32_t id = 0;
  std::string bytes;  // may be part of a character
  float logprob = 0;  // nats, of the distribution before temperature
  struct Top {
    int32_t id = 0;
    std::string bytes;
    float logprob = 0;
  };
  std::vector<Top> top;
};

// A piece of an answer. `text` is whole UTF-8 characters.
struct Delta {
  int choice = 0;
  std::string text;
  std::string reasoning;
  std::string tool_calls;  // JSON array of OpenAI's delta shape, or empty
  std::vector<TokenLogprob> logprobs;
  std::string raw_json;  // the chunk as an upstream sent it, or empty
};

struct Done {
  std::vector<FinishReason> finish;  // [choice]
  Usage usage;
  // As an upstream sent it, or empty: the whole answer, where it was one body;
  // and the usage object of a stream.
  std::string raw_json = {};
  std::string raw_usage = {};
};

// Where an answer goes. Calls come one after the other, from any one thread:
// at most one OnStart, then deltas, then OnDone exactly once, after which the
// backend drops the sink. An error may come before OnStart. Calls must not
// block; a slow reader is the sink's business.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void OnStart(const Served& served) = 0;
  virtual void OnDelta(Delta delta) = 0;
  virtual void OnDone(Result<Done> done) = 0;
};

// One prefill on `variant` to read the logits of a few single tokens after
// `request`'s exact serving prompt followed by `suffix` as plain text. The KV
// of the prompt is kept for a short while for a Start of the same prompt.
struct ScoreRequest {
  std::shared_ptr<const Request> request;
  std::string variant;
  std::string suffix;               // plain tokens inside the assistant turn
  std::vector<std::string> labels;  // each must be one token, all distinct
  int tokens_max = 256;             // longer prompts: head and tail, no reuse
  std::shared_ptr<const Prepared> prepared;  // from Peek; may be null
};

struct Scores {
  std::vector<float> logits;  // [label], up to a common constant
  int tokens = 0;             // columns the probe cost
  bool kept = false;          // a Start of the same prompt may reuse the KV
};

// Thread safety: every method may be called from any thread. No call blocks:
// answers come through callbacks, which may run on the backend's own threads.
class Backend {
 public:
  using PeekDone = std::function<void(Result<PromptSize>)>;
  using ScoreDone = std::function<void(Result<Scores>)>;

  virtual ~Backend() = default;
  // Errors of the callbacks: kNotFound for a variant that this backend does not
  // host; kInvalidArgument if the prompt cannot fit or be rendered;
  // kOverloaded, kUnavailable, kDeadline, kCancelled as in result.h.
  virtual Snapshot View(std::string_view variant) const = 0;
  // `thinking`: as the plan will say.
  virtual void Peek(std::shared_ptr<const Request> request,
                    std::string_view variant, std::optional<Thinking> thinking,
                    PeekDone done) = 0;
  virtual void Start(std::shared_ptr<const Request> request, Plan plan,
                     std::shared_ptr<Sink> sink) = 0;
  // Ends a started or scoring request with kCancelled, and drops what was kept
  // for it alone. Unknown ids are ignored: the request may have just ended.
  virtual void Cancel(std::string_view request_id) = 0;
  virtual void Score(ScoreRequest request, Time deadline, ScoreDone done) = 0;
};

// One choice of a policy: a name, who answers, and what never changes while the
// program runs.
struct Variant {
  std::string name;
  // Which of several backends that serve this variant; empty: the only one.
  std::string replica = {};
  std::shared_ptr<Backend> backend;
  int context_tokens_max = 0;  // 0: unknown (an upstream)
  // Bytes read to decode one token at context 0, i.e. its weights; orders
  // variants by size. 0: unknown.
  int64_t bytes_per_token = 0;
  int64_t created = 0;  // seconds since 1970, for /v1/models
  // Whether the same request and seed have the same answer, whatever else runs
  // (design.md, section 7). An upstream promises nothing.
  bool deterministic = true;
  bool resumes = false;  // takes Plan::shown_text
  // Requests reach it as they were written (Request::raw_json), so that it may
  // know what we do not.
  bool passes = false;
  Features features = kOwnFeatures;
  ThinkingModes thinking = {};
  // What a second of its device is worth, in seconds that users wait.
  double device_price = 1;
};

}  // namespace aio::core
