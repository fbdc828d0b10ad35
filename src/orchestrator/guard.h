// SPDX-License-Identifier: Apache-2.0
//
// The quality guard. A quality table is measured once, and then traffic
// changes. So of the answers that smaller variants gave, a few are asked again
// of the reference, the largest variant, while its device has nothing to do;
// how far the two agree (orchestrator/agreement.h) is exported by intent, with
// an alarm where it is low. The reference thinks about it, or does not, as the
// smaller variant did, where it can: else thoughts would be compared, not
// models.
//
// A run of the guard is nobody's request: it is in no count of requests, no
// learned number, no decision log and no price, and it gives way to whatever
// comes. Only variants whose steps are known are run again: an upstream may
// cost money.
//
// What is kept of a request is its prompt and the answer, at most
// kGuardBytesMax each, until they are compared or kGuardAge is over; none of it
// is logged.
//
// Thread safety: used on the orchestrator's executor only; may be destroyed on
// any thread.
// Invariants: one run at a time; at most kGuardWaitingMax samples; every sample
// ends in exactly one count of aio_guard_samples_total.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/metrics.h"
#include "core/backend.h"
#include "orchestrator/answer.h"
#include "orchestrator/flight.h"
#include "orchestrator/orchestrator.h"

namespace aio::orchestrator {

inline constexpr size_t kGuardWaitingMax = 16;
inline constexpr size_t kGuardBytesMax = 64 << 10;
inline constexpr Duration kGuardAge = std::chrono::minutes(10);
// How often the device is looked at while samples wait; besides, whenever a
// request ends.
inline constexpr Duration kGuardInterval = std::chrono::seconds(1);
inline constexpr int kGuardTriesMax = 3;  // of a sample that had to give way
// The alarm looks at the mean of the last so many of an intent, once there are
// enough for it to mean something: with 20, its standard error is a tenth at
// worst.
inline constexpr size_t kGuardRecent = 50;
inline constexpr size_t kGuardTrusted = 20;

class Guard : public std::enable_shared_from_this<Guard> {
 public:
  // Null if nothing is to be guarded: the share is 0, no variant is smaller
  // than the reference, or its steps are not known.
  static std::shared_ptr<Guard> Make(const Parts& parts,
                                     const GuardOptions& options);
  // Cancels a run that is under way.
  ~Guard();

  // Whether what `variant` is about to answer is to be compared: by a random
  // number of the request's own, so that it is the same whatever else runs.
  bool Wants(const Flight& flight, int variant) const;
  // `flight` ended well, and Flight::kept is its answer.
  void Take(const Flight& flight);
  // So many requests are in flight now. None: samples may be run again; else
  // the run under way, if any, gives way.
  void InFlight(size_t flights);

 private:
  struct Sample {
    std::shared_ptr<const core::Request> request;
    std::string answer;
    std::optional<core::Thinking> thinking;  // of it; absent: not known
    std::string intent;                      // its name, for labels
    std::optional<core::Label> label;
    Time taken{};
    int tries = 0;
  };
  struct Run {
    Sample sample;
    Time begun{};
    bool cancelled = false;
  };
  struct Recent {
    std::deque<double> agreements;
    bool alarm = false;
  };

  Guard(const Parts& parts, const GuardOptions& options, size_t reference);

  void Next();
  bool Idle() const;
  void Begin();
  void Ended(const End& end, const Kept& kept);
  void Compare(const Sample& sample, const std::string& answer);
  void Alarm(const std::string& intent, Recent* recent);
  void Expire();
  void CancelRun();
  void Watch();
  void Count(const char* outcome);

  core::Backend& backend() { return *variants_[reference_].backend; }

  Executor* const executor_;
  Metrics* const metrics_;
  const std::vector<core::Variant> variants_;
  const uint64_t random_seed_;
  const GuardOptions options_;
  const size_t reference_;
  size_t flights_ = 0;
  std::deque<Sample> samples_;  // oldest first; without the one that runs
  std::optional<Run> run_;
  std::map<std::string, Recent> recent_;  // by intent
  bool watching_ = false;
  uint64_t runs_ = 0;  // so far
};

}  // namespace aio::orchestrator
