// SPDX-License-Identifier: Apache-2.0
#include "upstream/replica.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include <algorithm>
#include <boost/asio/strand.hpp>
#include <utility>

#include "base/log.h"
#include "upstream/engine_metrics.h"

namespace aio::upstream {
namespace {

// How often exchanges are looked at for being late.
constexpr Duration kSweep = std::chrono::milliseconds(100);
// What a server that is busy wants, if it does not say.
constexpr Duration kBusy = std::chrono::seconds(1);
constexpr int kTooMany = 429;
// A server may claim to have any number of others.
constexpr double kOthersMax = 4096;

// What of an exchange is the server's own failure: never what the client is to
// blame for.
bool IsFailure(const Ended& ended) {
  if (ended.result) return false;
  if (ended.status >= 400) return ended.status >= 500;
  switch (ended.result.error().code) {
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadline:
    case ErrorCode::kCorrupt:
    case ErrorCode::kInternal:
      return true;
    default:
      return false;
  }
}

const char* OutcomeOf(const Ended& ended) {
  if (ended.result) return "ok";
  if (ended.status == kTooMany) return "busy";
  if (ended.status >= 500) return "http_5xx";
  if (ended.status >= 400) return "http_4xx";
  switch (ended.result.error().code) {
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kDeadline:
      return "timeout";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kUnavailable:
      return ended.connected ? "cut" : "unreachable";
    default:
      return "error";
  }
}

}  // namespace

Replica::Replica(Options options, boost::asio::any_io_executor io,
                 Executor* clock)
    : options_(std::move(options)),
      io_(std::move(io)),
      clock_(clock),
      pool_(std::make_shared<Pool>(
          io_, Pool::Options{options_.endpoint, options_.tls})),
      health_pool_(std::make_shared<Pool>(
          io_, Pool::Options{options_.endpoint, options_.tls, 0})),
      breaker_(options_.breaker) {
  if (options_.metrics == nullptr) return;
  in_flight_ = options_.metrics->Gauge("aio_upstream_in_flight",
                                       "Exchanges under way", options_.labels);
  state_ = options_.metrics->Gauge("aio_upstream_state",
                                   "0: ready, 1: on trial, 2: ejected",
                                   options_.labels);
}

bool Replica::SetAddresses(std::vector<Connection::Address> addresses) {
  if (pool_->addresses() == addresses) return false;
  pool_->SetAddresses(addresses);
  health_pool_->SetAddresses(std::move(addresses));
  const MutexLock lock(mutex_);
  breaker_.Reset();
  unreachable_ = 0;
  ShowState();
  return true;
}

Replica::Snapshot Replica::View() const {
  const Time now = clock_->Now();
  Snapshot snapshot;
  snapshot.present = pool_->known();
  const MutexLock lock(mutex_);
  snapshot.running = static_cast<int>(running_.size());
  snapshot.others = others_;
  snapshot.admissions = admissions_;
  const int limit = breaker_.LimitAt(now, options_.requests_max);
  snapshot.healthy = limit > 0 && snapshot.present;
  snapshot.full = snapshot.running >= limit || breaker_.busy(now);
  return snapshot;
}

boost::asio::any_io_executor Replica::Strand() const {
  if (!options_.threads) return io_;
  return boost::asio::make_strand(io_);
}

Call Replica::CallOf(Job job) const {
  Call call;
  call.method = job.method;
  call.target = options_.endpoint.path + job.target;
  if (!options_.api_key.empty()) {
    call.authorization = "Bearer " + options_.api_key;
  }
  call.request_id = std::move(job.request_id);
  call.body = std::move(job.body);
  call.streamed = job.streamed;
  call.any_type = job.any_type;
  call.deadline = job.deadline;
  return call;
}

Result<void> Replica::Run(Job job, Exchange::OnMessage on_message,
                          OnEnd on_end) {
  const std::string id = job.request_id;
  const bool own_deadline = job.deadline < Time::max();
  const auto exchange = std::make_shared<Exchange>(
      Strand(), clock_, options_.limits, pool_, CallOf(std::move(job)));
  exchange->Listen(std::move(on_message),
                   [self = shared_from_this(), key = exchange.get(),
                    own_deadline, on_end = std::move(on_end)](Ended ended) {
                     {
                       const MutexLock lock(self->mutex_);
                       self->running_.erase(key);
                     }
                     ended.result = on_end(ended);
                     self->Judge(ended, own_deadline);
                   });
  bool sweep = false;
  {
    const MutexLock lock(mutex_);
    if (closed_) {
      return Error{ErrorCode::kCancelled, "the backend is closing", ""};
    }
    const int limit = breaker_.LimitAt(clock_->Now(), options_.requests_max);
    if (static_cast<int>(running_.size()) >= limit) {
      return Error{
          ErrorCode::kOverloaded,
          std::to_string(limit) + " requests are at this upstream already", ""};
    }
    ++admissions_;
    running_[exchange.get()] = {id, exchange};
    sweep = !std::exchange(sweeping_, true);
  }
  exchange->Start();
  if (sweep) Sweep();
  return {};
}

void Replica::Judge(const Ended& ended, bool own_deadline) {
  const bool late =
      !ended.result && ended.result.error().code == ErrorCode::kDeadline;
  const Time now = clock_->Now();
  const MutexLock lock(mutex_);
  Count(OutcomeOf(ended));
  if (late && own_deadline) return;
  if (ended.status == kTooMany) {
    breaker_.Busy(now + ended.retry_after.value_or(kBusy));
  } else if (IsFailure(ended)) {
    breaker_.Failed(now);
  } else if (ended.result) {
    breaker_.Succeeded(now);
  }
  ShowState();
}

void Replica::Count(const char* outcome) {
  if (options_.metrics == nullptr) return;
  prometheus::Counter*& counter = outcomes_[outcome];
  if (counter == nullptr) {
    Labels labels = options_.labels;
    labels["outcome"] = outcome;
    counter = options_.metrics->Counter(
        "aio_upstream_requests_total",
        "Exchanges with upstreams by how they ended", labels);
  }
  counter->Increment();
}

void Replica::ShowState() {
  if (options_.metrics == nullptr) return;
  in_flight_->Set(static_cast<double>(running_.size()));
  state_->Set(static_cast<double>(breaker_.StateAt(clock_->Now())));
}

// As long as something runs.
void Replica::Sweep() {
  const auto exchanges = InFlight();
  const Time now = clock_->Now();
  for (const auto& exchange : exchanges) exchange->Check(now);
  {
    const MutexLock lock(mutex_);
    ShowState();
    if (running_.empty()) {
      sweeping_ = false;
      return;
    }
  }
  clock_->PostAt(now + kSweep, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Sweep();
  });
}

std::vector<std::shared_ptr<Exchange>> Replica::InFlight() const {
  std::vector<std::shared_ptr<Exchange>> exchanges;
  const MutexLock lock(mutex_);
  exchanges.reserve(running_.size());
  for (const auto& [key, entry] : running_) {
    if (auto exchange = entry.exchange.lock()) {
      exchanges.push_back(std::move(exchange));
    }
  }
  return exchanges;
}

void Replica::Stop(std::string_view request_id, const Error& why) {
  std::vector<std::shared_ptr<Exchange>> stopped;
  {
    const MutexLock lock(mutex_);
    for (const auto& [key, entry] : running_) {
      if (entry.request_id != request_id) continue;
      if (auto exchange = entry.exchange.lock()) {
        stopped.push_back(std::move(exchange));
      }
    }
  }
  for (const auto& exchange : stopped) exchange->Stop(why);
}

void Replica::StopAll(const Error& why) {
  for (const auto& exchange : InFlight()) exchange->Stop(why);
}

void Replica::Close(const Error& why) {
  {
    const MutexLock lock(mutex_);
    closed_ = true;
  }
  pool_->Clear();
  StopAll(why);
}

// ---- Health -----------------------------------------------------------------

void Replica::Watch() {
  if (options_.health_path.empty()) return;
  CheckHealth();
}

void Replica::CheckHealth() {
  {
    const MutexLock lock(mutex_);
    if (closed_) return;
  }
  const Time now = clock_->Now();
  clock_->PostAt(now + options_.health_every, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->CheckHealth();
  });
  if (!pool_->known()) return;
  const auto nothing = [](std::string_view) -> Result<bool> { return true; };
  Ask(options_.health_path, nothing,
      [weak = weak_from_this()](const Ended& ended) {
        if (const auto self = weak.lock()) self->HealthChecked(ended);
      });
  bool tells = false;
  {
    const MutexLock lock(mutex_);
    tells = tells_ && !options_.metrics_path.empty();
  }
  if (!tells) return;
  Ask(
      options_.metrics_path,
      [weak = weak_from_this()](std::string_view text) -> Result<bool> {
        if (const auto self = weak.lock()) self->TakeMetrics(text);
        return true;
      },
      [weak = weak_from_this()](const Ended& ended) {
        const auto self = weak.lock();
        if (!self || ended.status < 400 || ended.status >= 500) return;
        const MutexLock lock(self->mutex_);
        self->tells_ = false;  // it has none, or not for us
      });
}

// Over a connection of its own, and within the time of a health check.
void Replica::Ask(std::string path, Exchange::OnMessage on_message,
                  Exchange::OnEnd on_end) {
  const Time now = clock_->Now();
  Call call;
  call.method = "GET";
  call.target = std::move(path);
  call.any_type = true;
  call.deadline = now + options_.health_timeout;
  if (!options_.api_key.empty()) {
    call.authorization = "Bearer " + options_.api_key;
  }
  Limits limits = options_.limits;
  limits.body_bytes_max = 1 << 20;
  const auto check = std::make_shared<Exchange>(Strand(), clock_, limits,
                                                health_pool_, std::move(call));
  check->Listen(std::move(on_message), std::move(on_end));
  check->Start();
  clock_->PostAt(now + options_.health_timeout,
                 [late = std::weak_ptr<Exchange>(check), clock = clock_] {
                   if (const auto c = late.lock()) c->Check(clock->Now());
                 });
}

void Replica::TakeMetrics(std::string_view text) {
  const EngineMetrics said = ReadEngineMetrics(text);
  const MutexLock lock(mutex_);
  if (said.running) {
    const double all = *said.running + said.waiting.value_or(0);
    const double others = all - static_cast<double>(running_.size());
    others_ = static_cast<int>(std::clamp(others, 0.0, kOthersMax));
  }
  if (options_.metrics == nullptr) return;
  if (said.kv_used) {
    options_.metrics->Set("aio_upstream_kv_used",
                          "Of the upstream's KV cache, the share in use",
                          *said.kv_used, options_.labels);
  }
  if (said.drafted.value_or(0) > 0) {
    options_.metrics->Set("aio_upstream_draft_acceptance",
                          "Of the upstream's drafted tokens, the share kept",
                          said.accepted.value_or(0) / *said.drafted,
                          options_.labels);
  }
}

// A server without such a route is at least there. One that cannot even be
// reached, time and again, is gone with all that ran there; one that only does
// not answer may be too busy to.
void Replica::HealthChecked(const Ended& ended) {
  const Time now = clock_->Now();
  bool gone = false;
  {
    const MutexLock lock(mutex_);
    const Breaker::State before = breaker_.StateAt(now);
    const bool well = ended.status > 0 && ended.status < 500;
    unreachable_ = ended.connected ? 0 : unreachable_ + 1;
    gone = unreachable_ == options_.breaker.health_failures;
    if (well) {
      breaker_.HealthPassed(now);
    } else {
      breaker_.HealthFailed(now);
    }
    const Breaker::State after = breaker_.StateAt(now);
    if (before != after) {
      Log(LogLevel::kWarning, "upstream",
          {{"url", options_.endpoint.authority},
           {"state",
            after == Breaker::State::kEjected ? "ejected" : "on trial"},
           {"why",
            well ? "its health check passes" : "its health checks fail"}});
    }
    ShowState();
  }
  if (!gone) return;
  pool_->Clear();
  StopAll(Error{ErrorCode::kUnavailable, "the upstream is gone", ""});
}

}  // namespace aio::upstream
