// SPDX-License-Identifier: Apache-2.0
#include "server/limits.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/check.h"

namespace aio::server {
namespace {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;

// Rounding must not make a request wait that came when it was told to.
constexpr double kSlack = 1e-6;

std::string_view UnitOf(const Rate& rate) {
  if (rate.per <= 1s) return "second";
  return rate.per <= 1min ? "minute" : "hour";
}

int WholeSeconds(double seconds) {
  constexpr double kMost = 1e9;
  return static_cast<int>(std::clamp(std::ceil(seconds - kSlack), 1.0, kMost));
}

// As Go writes a duration, which is what OpenAI's clients parse: "17ms",
// "6m0s".
std::string GoDuration(double seconds) {
  if (seconds <= 0) return "0s";
  if (seconds <= 0.999) {
    return std::to_string(std::lround(std::ceil(seconds * 1000 - kSlack))) +
           "ms";
  }
  const int whole = WholeSeconds(seconds);
  const int minutes = whole / 60;
  std::string out;
  if (minutes >= 60) out += std::to_string(minutes / 60) + "h";
  if (minutes > 0) out += std::to_string(minutes % 60) + "m";
  return out + std::to_string(whole % 60) + "s";
}

std::string RetryIn(int seconds) {
  return ": retry in " + std::to_string(seconds) +
         (seconds == 1 ? " second" : " seconds");
}

std::optional<Limited> Full(std::string_view what, double cost, Bucket* bucket,
                            Time now) {
  const double wait = bucket->SecondsUntil(cost, now);
  if (wait <= 0) return std::nullopt;
  Limited limited{what, "", WholeSeconds(wait)};
  limited.message =
      "this API key may use " + std::to_string(bucket->rate().amount) + " " +
      std::string(what) + " per " + std::string(UnitOf(bucket->rate())) +
      RetryIn(limited.seconds);
  return limited;
}

void SetBucket(const std::optional<Rate>& rate, Time now,
               std::optional<Bucket>* bucket) {
  if (!rate) {
    bucket->reset();
  } else if (*bucket) {
    (*bucket)->Set(*rate, now);
  } else {
    bucket->emplace(*rate);
  }
}

void AddHeaders(const std::string& what, Time now, Bucket* bucket,
                std::vector<std::pair<std::string, std::string>>* out) {
  const double level = bucket->Level(now);
  const double most = bucket->capacity();
  const auto whole = [](double x) {
    return std::to_string(static_cast<int64_t>(std::max(0.0, x + kSlack)));
  };
  out->emplace_back("x-ratelimit-limit-" + what, whole(most));
  out->emplace_back("x-ratelimit-remaining-" + what, whole(level));
  out->emplace_back("x-ratelimit-reset-" + what,
                    GoDuration(bucket->SecondsUntil(most, now)));
}

}  // namespace

// ---- Bucket -----------------------------------------------------------------

// Full, as if it had been waiting for ever.
Bucket::Bucket(const Rate& rate) {
  Set(rate, at_);
  level_ = capacity_;
}

void Bucket::Set(const Rate& rate, Time now) {
  CHECK(rate.amount > 0 && rate.per > Duration::zero());
  const double level = Level(now);
  rate_ = rate;
  per_second_ = static_cast<double>(rate.amount) / Seconds(rate.per);
  const Duration held = std::min<Duration>(rate.per, 1min);
  capacity_ = std::max(1.0, per_second_ * Seconds(held));
  level_ = std::min(level, capacity_);
}

double Bucket::Level(Time now) {
  if (now > at_) {
    level_ = std::min(capacity_, level_ + Seconds(now - at_) * per_second_);
    at_ = now;
  }
  return level_;
}

double Bucket::SecondsUntil(double cost, Time now) {
  const double missing = std::min(cost, capacity_) - Level(now);
  return missing <= kSlack ? 0 : missing / per_second_;
}

void Bucket::Take(double cost, Time now) {
  level_ = std::min(capacity_, Level(now) - cost);
}

// ---- Account ----------------------------------------------------------------

Account::Account(const KeyLimits& limits) { Set(limits, Time{}); }

void Account::Set(const KeyLimits& limits, Time now) {
  const MutexLock lock(mutex_);
  SetBucket(limits.requests, now, &requests_);
  SetBucket(limits.tokens, now, &tokens_);
  concurrency_ = limits.concurrency;
}

std::vector<std::pair<std::string, std::string>> Account::Headers(Time now) {
  const MutexLock lock(mutex_);
  std::vector<std::pair<std::string, std::string>> headers;
  if (requests_) AddHeaders("requests", now, &*requests_, &headers);
  if (tokens_) AddHeaders("tokens", now, &*tokens_, &headers);
  return headers;
}

std::optional<Limited> Account::Admit(int64_t tokens, Time now) {
  const MutexLock lock(mutex_);
  if (concurrency_ && running_ >= *concurrency_) {
    return Limited{"concurrency",
                   "this API key may have " + std::to_string(*concurrency_) +
                       " requests at once" + RetryIn(1),
                   1};
  }
  const auto cost = static_cast<double>(tokens);
  auto limited = std::optional<Limited>();
  if (requests_) limited = Full("requests", 1, &*requests_, now);
  if (!limited && tokens_) limited = Full("tokens", cost, &*tokens_, now);
  if (limited) return limited;
  if (requests_) requests_->Take(1, now);
  if (tokens_) tokens_->Take(cost, now);
  ++running_;
  return std::nullopt;
}

void Account::Settle(int64_t requests, int64_t tokens, Time now) {
  const MutexLock lock(mutex_);
  if (requests_) requests_->Take(static_cast<double>(requests), now);
  if (tokens_) tokens_->Take(static_cast<double>(tokens), now);
  --running_;
}

// ---- Ticket -----------------------------------------------------------------

Ticket::~Ticket() {
  if (open()) Settle(0, false, begun_);
}

std::optional<Limited> Ticket::Admit(std::shared_ptr<Account> account,
                                     int64_t tokens, Time now) {
  CHECK(!open());
  if (auto limited = account->Admit(tokens, now)) return limited;
  account_ = std::move(account);
  tokens_ = tokens;
  begun_ = now;
  return std::nullopt;
}

void Ticket::Settle(int64_t tokens, bool served, Time now) {
  CHECK(open());
  std::exchange(account_, nullptr)
      ->Settle(served ? 0 : -1, tokens - tokens_, now);
}

}  // namespace aio::server
