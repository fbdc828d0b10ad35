// SPDX-License-Identifier: Apache-2.0
//
// Who asks what and when, for a simulation: kinds of requests with their
// lengths and intents, drawn by a seed, a published trace with its own lengths
// and bursts, or texts that were recorded; arriving at a rate, as the trace has
// it, or whenever one of so many clients has its answer.
//
// Thread safety: none. The same options give the same requests.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "core/intent.h"
#include "sim/sim_request.h"

namespace aio::sim {

// Tokens, log-normally: half of them are above the median, and `spread` is the
// standard deviation of their logarithm.
struct Lengths {
  double median = 100;
  double spread = 0.8;
  int least = 1;
  int most = 8192;
};

struct Kind {
  core::Label intent = core::Label::kChat;
  double share = 1;  // of the requests, relative to the other kinds'
  Lengths prompt, output;
  int shared_tokens = 0;  // at the prompt's begin, the same for all of a kind
  double next_turn = 0;   // how many go on with an earlier conversation
  double cancelled = 0;   // how many are given up, somewhere in the answer
  double copied = 0;      // SimRequest's
};

struct WorkloadOptions {
  std::string name;
  std::vector<Kind> kinds;
  // Instead of kinds: each line of a trace in turn.
  struct TraceLine {
    double seconds = 0;  // since the first
    int prompt = 0, output = 0;
  };
  std::vector<TraceLine> trace;
  core::Label trace_intent = core::Label::kChat;
  // Instead of both: texts with their answers, one drawn for each request.
  // Lookup finds in them what it would.
  struct Recorded {
    core::Label intent = core::Label::kChat;
    std::vector<int32_t> tokens;
    int prompt = 1;  // of them; some follow
  };
  std::vector<Recorded> recorded;
  int requests = 1000;
  // How they arrive: `clients` at once, each asking again when it has its
  // answer; else at `rate` a second, Poisson or, where `arrivals` are given, as
  // bunched as those; else by the trace, `speed` times as fast.
  int clients = 0;
  double rate = 0;
  double speed = 1;
  std::vector<double> arrivals;  // seconds, ascending, of some other trace
  // All lengths are divided by it, for machines that are too slow for them.
  double divide = 1;
  uint64_t seed = 1;
  uint64_t texts = 0;  // another number: other texts of the same lengths
  // As SimRequest has them.
  int token_least = 0, token_count = 1 << 30;
  std::string variant;  // that all of them name; empty: they are routed
  std::optional<core::Strategy> strategy;  // that all of them ask for
  // Whether they say what an engine needs to know: the prompt in tokens, the
  // answer that it is to give, and their intent.
  bool spelled = false;
};

// chat | code | mixed | code-centric | knowledge-centric | paper-code.
// kNotFound names the nearest.
Result<WorkloadOptions> NamedWorkload(std::string_view name);
std::vector<std::string> WorkloadNames();

// A trace of Azure's: TIMESTAMP,ContextTokens,GeneratedTokens. kInvalidArgument
// with the line.
Result<std::vector<WorkloadOptions::TraceLine>> ParseTrace(
    std::string_view csv);

// One client's next request.
struct Arrival {
  std::optional<Time> when;  // absent: as soon as a client is free
  std::shared_ptr<SimRequest> request;
  core::Label intent = core::Label::kChat;
  int cancel_after = 0;  // tokens of the answer; 0: never
};

class Workload {
 public:
  explicit Workload(const WorkloadOptions& options);

  // In order of their times; nothing after the last.
  std::optional<Arrival> Next();
  const WorkloadOptions& options() const { return options_; }

 private:
  struct Conversation {
    uint64_t id = 0;
    size_t kind = 0;
    int tokens = 0;  // of its text so far
    int turns = 0;
  };
  double Random();
  uint64_t NewText() const;
  int Draw(const Lengths& lengths);
  int Divided(double tokens) const;
  Arrival FromTrace(const WorkloadOptions::TraceLine& line);
  Arrival FromRecorded();
  Arrival FromKinds();
  std::optional<Time> NextTime();
  double Bunched(int request) const;

  WorkloadOptions options_;
  double shares_ = 0;  // all kinds'
  int made_ = 0;
  uint64_t draws_ = 0;
  double seconds_ = 0;                // of the last arrival
  std::vector<Conversation> recent_;  // that may go on
};

}  // namespace aio::sim
