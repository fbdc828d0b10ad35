// SPDX-License-Identifier: Apache-2.0
//
// What all connections of one server share.
//
// Thread safety: const after Start but for the atomics.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

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

  Parts parts;
  config::Server options;
  Traffic traffic;
  Keys keys;
  std::atomic<bool> draining{false};
  std::atomic<int> requests{0};  // generations and routes in flight

 private:
  const uint64_t id_base_;
  std::atomic<uint64_t> ids_{0};
};

}  // namespace aio::server
