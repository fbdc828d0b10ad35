// SPDX-License-Identifier: Apache-2.0
//
// What all connections of one server share.
//
// Thread safety: const after Start but for the atomics and the keys.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "config/config.h"
#include "openai/request.h"
#include "server/keys.h"
#include "server/server.h"
#include "server/traffic.h"

namespace aio::server {

struct Context {
  Context(Parts p, config::Server o);

  // Unique within this process and, by its random start, most likely among all.
  std::string NewId();
  openai::Limits limits() const;

  // As they are now; those of a request that runs stay its own.
  std::shared_ptr<const Keys> keys() const;
  void SetKeys(std::shared_ptr<const Keys> keys);

  Parts parts;
  config::Server options;
  Traffic traffic;
  std::atomic<bool> draining{false};
  std::atomic<int> requests{0};  // generations and routes in flight

 private:
  const uint64_t id_base_;
  std::atomic<uint64_t> ids_{0};
  mutable Mutex mutex_;
  std::shared_ptr<const Keys> keys_ GUARDED_BY(mutex_);
};

}  // namespace aio::server
