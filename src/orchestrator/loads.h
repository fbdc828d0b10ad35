// SPDX-License-Identifier: Apache-2.0
//
// Who is on which model of which device right now, for prices (cost/price.h):
// what this orchestrator has sent and not seen end. A request counts from the
// moment it is sent, so a burst does not herd.
//
// Thread safety: none; used on the orchestrator's executor only. `said` of an
// entry may be raised by any thread.
// Cost: a price looks at all requests of its device.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/executor.h"
#include "core/backend.h"
#include "cost/estimate.h"
#include "cost/learned_steps.h"
#include "cost/price.h"
#include "cost/residual.h"
#include "orchestrator/orchestrator.h"

namespace aio::orchestrator {

class Loads {
 public:
  // `costs` must outlive it.
  explicit Loads(const Costs* costs);

  // Whether the steps of that variant are known.
  bool Knows(size_t variant) const;
  // What its backend says now; the newest `unseen` requests sent to it are not
  // in there yet.
  void See(size_t variant, const core::Snapshot& view, size_t unseen);
  // REQUIRES: Knows(variant).
  cost::Price PriceOf(size_t variant, const cost::Estimate& estimate,
                      Time now) const;

  // How a request went of which `said` was said. Times per token are of one
  // choice. Of learned steps it teaches nothing: they follow by themselves.
  void Learn(size_t variant, const cost::Price& said, double ttft,
             double token);
  // Prices of that variant are wrong by more than is corrected.
  bool drifted(size_t variant) const;

  // A request of those tokens is on its way to `variant`; `said` counts the
  // tokens that have come back.
  void Sent(size_t variant, uint64_t request, const cost::Estimate& estimate,
            std::shared_ptr<const std::atomic<int>> said, Time now);
  // How its answer went, in seconds; 0: not known.
  struct Went {
    double ttft = 0;
    double token = 0;
  };
  void Ended(uint64_t request, const Went& went, Time now);
  std::vector<size_t> InFlight() const;  // [device]

 private:
  struct Entry {
    VariantCost at;
    size_t variant = 0;
    double tokens = 1;  // of its answer, expected
    int prompt_tokens = 0;
    int new_tokens = 1;  // of these, to compute
    double prefill_seconds = 0;
    Time sent{};
    std::shared_ptr<const std::atomic<int>> said;
    // Of its device when it was sent.
    double request_seconds = 0;
    double context_seconds = 0;
    bool first = false;  // no prompt was ahead of its own
  };
  // What was on a device at once, over time.
  struct Meter {
    double requests = 0;
    double context_tokens = 0;
    double request_seconds = 0;  // its integral
    double context_seconds = 0;
    Time at{};
    void Add(double more_requests, double more_context, Time now);
  };
  // Of a variant: its time to the first token, and between tokens.
  struct Residuals {
    cost::Residual ttft, token;
  };
  // A rate that forgets.
  struct Arrivals {
    double weight = 0;
    Time at{};
  };

  // Seconds that requests stay, a mean that forgets.
  struct Lives {
    double mean = 0;
    int count = 0;
  };
  // As its backend has said last.
  struct Seen {
    double step_in_seconds = -1;
    double run_seconds = 0;
    int64_t prompt_tokens = 0;
    double turn_weight = 1;
    int others = 0;
  };

  double RateOf(size_t device, size_t model, Time now) const;
  void AddLoads(size_t device, std::vector<cost::ModelLoad>* models) const;
  std::vector<cost::ModelLoad> DeviceNow(size_t device, Time now) const;

  static double ContextOf(const Entry& entry);
  void LearnSteps(const Entry& entry, const Went& went, Time now);

  const Costs& costs_;
  std::vector<std::vector<ModelCost>> models_;  // [device][model], as of now
  std::vector<std::optional<cost::LearnedSteps>> learned_;  // [device]
  std::vector<Meter> meters_;                               // [device]
  std::map<uint64_t, Entry> sent_;               // by request, oldest first
  std::vector<std::vector<Arrivals>> arrivals_;  // [device][model]
  std::vector<std::vector<Lives>> lives_;        // [device][model]
  std::vector<std::vector<Seen>> seen_;          // [device][model]
  std::vector<size_t> unseen_;                   // [variant]
  std::vector<Residuals> residuals_;             // [variant]
};

}  // namespace aio::orchestrator
