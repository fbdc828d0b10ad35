// SPDX-License-Identifier: Apache-2.0
//
// The life of a request: peek, sense, estimate, decide, start, learn. One
// object owns the variants' ledger of reservations; all its work runs on one
// executor (a strand), so a burst sees the assignments made just before it.
//
// Thread safety: Handle, Route and Cancel may be called from any thread;
// everything else happens on the executor. Sinks are called from the backends'
// threads and from the executor, never from two at once.
//
// Lifetime: the executor and the metrics outlive the object and every backend.
// The object may go while requests run: what has started goes on to its end,
// what has not is cancelled, and late callbacks find nobody.
//
// Invariants: every request ends in exactly one OnDone, one count of
// aio_requests_total and one of aio_probe_total.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/result.h"
#include "core/backend.h"
#include "core/intent.h"
#include "core/length.h"
#include "core/quality.h"
#include "core/request.h"
#include "core/thinking.h"
#include "cost/step_cost.h"
#include "policy/policy.h"

namespace aio::orchestrator {

// The answer of /v1/route: what would happen and why, by the same code.
struct Explanation {
  core::Intent intent;
  std::string variant;  // empty if no candidate fits
  core::Strategy strategy = core::Strategy::kAuto;
  std::string reason;
  std::string probe;  // the counted probe state: pinned, text, model, …
  // What sensing and deciding took, without peeks and the model probe.
  Duration deciding{};
  std::optional<core::Thinking> thinking;  // absent: nothing to tell
  struct Candidate {
    std::string variant;
    std::string why;  // why or why not
    cost::Estimate estimate;
    std::optional<double> quality;  // expected, 0..1; absent: not known
    std::optional<core::Thinking> thinking = {};
    double device_price = 1;   // of a second of its device
    std::string replica = {};  // of several; empty: the only one
  };
  std::vector<Candidate> candidates;
};

// Both are wired in cli/: probe/ is not a layer this folder may see.
// The text probe runs in microseconds, on the orchestrator's executor.
using TextProbe = std::function<core::Intent(const core::Request&)>;
// Tokens that the answer will have, where somebody can tell; runs like it.
using LengthProbe = std::function<std::optional<double>(const core::Request&)>;
// The model probe asks Backend::Score and calls back.
using ModelProbeDone = std::function<void(Result<core::Intent>)>;
using ModelProbe =
    std::function<void(std::shared_ptr<const core::Request> request,
                       std::shared_ptr<const core::Prepared> prepared,
                       Time deadline, ModelProbeDone done)>;

// What steps take on the devices that variants run on; those of unknown steps
// are estimated from what requests took.
struct ModelCost {
  cost::StepCost steps;
  int sequences_max = 32;
  int columns_max = 512;
  double slowdown_max = 1.5;  // sched::Options
  // Nobody can time its steps: they are a guess, put right by answers.
  bool learned = false;
};
struct VariantCost {
  size_t device = 0;
  size_t model = 0;     // of the device's: variants may be views of one
  bool coarse = false;  // reads 4 bits
};
struct Costs {
  std::vector<std::vector<ModelCost>> devices;       // [device][model]
  std::vector<std::optional<VariantCost>> variants;  // [variant]; or empty
};

struct Parts {
  Executor* executor = nullptr;
  Metrics* metrics = nullptr;
  // Config order, replicas of a variant one after the other; not empty.
  std::vector<core::Variant> variants;
  std::shared_ptr<const policy::Policy> policy;
  // Decides beside it, for aio_expected_*_total; null: none.
  std::shared_ptr<const policy::Policy> shadow;
  // Both may be empty. Rows of variants, and of what they can be told
  // (core::ThinkingRow).
  core::QualityTable quality;
  core::LengthTable lengths;
  Costs costs;                       // may be empty
  TextProbe text_probe;              // may be empty
  LengthProbe length_probe;          // may be empty: lengths are expected
  ModelProbe model_probe;            // may be empty
  std::string model_probe_variant;   // whose Prepared the probe takes
  int model_probe_tokens_max = 256;  // longer prompts: head and tail
  // One JSON line per request; may be empty.
  std::function<void(std::string)> decision_log;
  uint64_t random_seed = 0;  // of the decisions and of missing sampling seeds
};

// How well smaller variants answer what is asked now (orchestrator/guard.h).
struct GuardOptions {
  double share = 0;            // of their answers that are compared; 0: off
  double agreement_min = 0.3;  // less, on average: an alarm
  std::string reference;  // empty: the variant with the most bytes per token
};

// When a larger variant takes over from one that is failing
// (docs/escalation.md).
struct EscalationOptions {
  double margin_min = 0;  // less, on average, is failing; 0: off
  int tokens = 16;        // that are held before text is shown as it comes
};

// Of what a model probe was predicted to take, so much is waited for at least:
// less, and those would be late that are merely slower than said.
inline constexpr double kProbeSlack = 2;

struct Options {
  int requests_max = 256;  // in flight; past it kOverloaded
  // Of the model probe, 0: none. A request whose probe is late is routed
  // without its answer.
  Duration probe_deadline{};
  // The same as a share of the time to the first token that was predicted
  // without asking, 0: none; where times are predicted. At least kProbeSlack
  // times what asking was predicted to take, and never past probe_deadline.
  double probe_deadline_share = 0;
  // Of all peeks of a request, 0: none. Later candidates are left out, so one
  // dead backend does not hold up what another could answer.
  Duration peek_deadline = std::chrono::seconds(5);
  // Of the requests, the share that failed attempts may be added to; each
  // request has at most attempts_max in all (orchestrator/retry_budget.h).
  double retry_share = 0.1;
  int attempts_max = 4;
  GuardOptions guard;
  EscalationOptions escalation;
  // Exchanges that the next message of their conversation may go on from; less
  // than 200 bytes each.
  int conversations_max = 4096;
};

// Who serves a variant, and how it is.
struct Place {
  std::string variant;
  std::string replica;  // empty: the only one
  core::Snapshot view;
  bool drained = false;
};

class Orchestrator {
 public:
  Orchestrator(Parts parts, Options options);
  ~Orchestrator();

  // Answers `request` through `sink`: exactly one OnDone. OnStart comes with
  // the first delta and carries the variant, the intent, the reason and the
  // seed. A failure before the first delta is retried on another candidate,
  // unless it is the client's own or the request names its variant.
  //
  // Errors: kNotFound for an unknown model; kDenied for one that the key may
  // not use; kInvalidArgument for a prompt that fits no candidate, a
  // contradiction in the request or an id that is in flight; kOverloaded past
  // requests_max; else the error of a backend, one that a retry may mend before
  // one that it cannot.
  void Handle(std::shared_ptr<const core::Request> request,
              std::shared_ptr<core::Sink> sink);
  // Explains what Handle would do, and runs nothing but the probes.
  void Route(std::shared_ptr<const core::Request> request,
             std::function<void(Result<Explanation>)> done);
  // Ends that request with kCancelled, at whatever stage it is. Unknown ids are
  // ignored: the request may have just ended.
  void Cancel(const std::string& request_id);

  // From now on nothing new is sent to a replica, or to all of a variant
  // (replica empty), or is again; what runs there goes on. kNotFound, naming
  // the nearest.
  void Drain(const std::string& variant, const std::string& replica,
             bool drained, std::function<void(Result<void>)> done);
  void Places(std::function<void(std::vector<Place>)> done);

  // When a client that has just got kOverloaded had better come back. Any
  // thread.
  int retry_seconds() const;

  const std::vector<core::Variant>& variants() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace aio::orchestrator
