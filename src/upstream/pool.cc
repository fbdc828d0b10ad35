// SPDX-License-Identifier: Apache-2.0
#include "upstream/pool.h"

#include <algorithm>
#include <utility>

namespace aio::upstream {

Pool::Pool(boost::asio::any_io_executor io, Options options)
    : io_(std::move(io)), options_(std::move(options)) {}

void Pool::SetAddresses(std::vector<Connection::Address> addresses) {
  const MutexLock lock(mutex_);
  if (addresses == addresses_) return;
  addresses_ = std::move(addresses);
  idle_.clear();
}

std::vector<Connection::Address> Pool::addresses() const {
  const MutexLock lock(mutex_);
  return addresses_;
}

bool Pool::known() const {
  const MutexLock lock(mutex_);
  return !addresses_.empty();
}

std::unique_ptr<Connection> Pool::Take(Time now) {
  const MutexLock lock(mutex_);
  DropOld(now);
  while (!idle_.empty()) {
    std::unique_ptr<Connection> last = std::move(idle_.back());
    idle_.pop_back();
    if (last->Quiet()) return last;
  }
  return nullptr;
}

std::unique_ptr<Connection> Pool::New() const {
  return std::make_unique<Connection>(io_, options_.tls);
}

void Pool::Put(std::unique_ptr<Connection> connection, Time now) {
  const MutexLock lock(mutex_);
  DropOld(now);
  if (idle_.size() >= static_cast<size_t>(std::max(0, options_.idle_max))) {
    return;
  }
  connection->reused = true;
  connection->idle_since = now;
  idle_.push_back(std::move(connection));
}

void Pool::Clear() {
  const MutexLock lock(mutex_);
  idle_.clear();
}

void Pool::DropOld(Time now) {
  const auto young = std::find_if(
      idle_.begin(), idle_.end(),
      [&](const auto& c) { return now - c->idle_since < options_.idle_for; });
  idle_.erase(idle_.begin(), young);
}

}  // namespace aio::upstream
