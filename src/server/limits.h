// SPDX-License-Identifier: Apache-2.0
//
// What an API key may use in a time, and what it has used of it. Buckets fill
// steadily and hold a minute's worth; a request takes what it is estimated at
// when it comes in, and what it took when it is over, which may leave a debt.
// See docs/keys.md.
//
// Thread safety: Account any thread; the rest none. Nothing here reads a clock:
// `now` comes from the caller.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/mutex.h"

namespace aio::server {

struct Rate {
  int64_t amount = 0;  // > 0
  Duration per{};      // a second, a minute or an hour
};

struct KeyLimits {
  std::optional<Rate> requests = {};
  std::optional<Rate> tokens = {};  // of prompts and answers together
  std::optional<int> concurrency = {};
};

// Why a request may not come in now.
struct Limited {
  std::string_view limit;  // "requests", "tokens", "concurrency"
  std::string message;
  int seconds = 1;  // until it may, if nothing else comes
};

// A token bucket.
class Bucket {
 public:
  explicit Bucket(const Rate& rate);

  // The rate is another from now on; the level stays, as far as there is room.
  void Set(const Rate& rate, Time now);
  // What is there; negative: a debt.
  double Level(Time now);
  // Until `cost` may be taken; 0: now. What is larger than the bucket may when
  // that is full.
  double SecondsUntil(double cost, Time now);
  // Takes it, whatever is there; gives back what is negative.
  void Take(double cost, Time now);
  double capacity() const { return capacity_; }
  const Rate& rate() const { return rate_; }

 private:
  Rate rate_;
  double per_second_ = 0;
  double capacity_ = 0;
  double level_ = 0;
  Time at_{};  // when it was that
};

class Account {
 public:
  explicit Account(const KeyLimits& limits);

  void Set(const KeyLimits& limits, Time now);
  // The headers that OpenAI's clients read; none of what has no limit.
  std::vector<std::pair<std::string, std::string>> Headers(Time now);

 private:
  friend class Ticket;

  // Takes a request and so many tokens, or nothing.
  std::optional<Limited> Admit(int64_t tokens, Time now);
  void Settle(int64_t requests, int64_t tokens, Time now);

  Mutex mutex_;
  std::optional<Bucket> requests_ GUARDED_BY(mutex_);
  std::optional<Bucket> tokens_ GUARDED_BY(mutex_);
  std::optional<int> concurrency_ GUARDED_BY(mutex_);
  int running_ GUARDED_BY(mutex_) = 0;
};

// A request's stay in an account. One that goes away unsettled used nothing.
class Ticket {
 public:
  Ticket() = default;
  ~Ticket();
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;

  // Nothing if it is in. REQUIRES: once.
  std::optional<Limited> Admit(std::shared_ptr<Account> account, int64_t tokens,
                               Time now);
  // The end: what was used in place of what was estimated. `served`: false for
  // a request that failed and not by its own fault, which does not count.
  void Settle(int64_t tokens, bool served, Time now);
  bool open() const { return account_ != nullptr; }
  int64_t estimated() const { return tokens_; }

 private:
  std::shared_ptr<Account> account_;
  int64_t tokens_ = 0;
  Time begun_{};
};

}  // namespace aio::server
