// SPDX-License-Identifier: Apache-2.0
#include "server/context.h"

#include <cstdio>
#include <random>
#include <utility>

#include "base/random.h"

namespace aio::server {
namespace {

uint64_t RandomStart() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

}  // namespace

Context::Context(Parts p, config::Server o)
    : parts(std::move(p)),
      options(std::move(o)),
      traffic(parts.metrics),
      id_base_(RandomStart()),
      keys_(std::make_shared<const Keys>()) {}

std::string Context::NewId() {
  // Mix is a bijection, so the second half alone never repeats here.
  const uint64_t low = Mix(id_base_ + ids_.fetch_add(1));
  char text[40];
  const int size =
      std::snprintf(text, sizeof(text), "%016llx%016llx",
                    static_cast<unsigned long long>(Mix(id_base_ ^ low)),
                    static_cast<unsigned long long>(low));
  return std::string(text, static_cast<size_t>(size));
}

std::shared_ptr<const Keys> Context::keys() const {
  const MutexLock lock(mutex_);
  return keys_;
}

void Context::SetKeys(std::shared_ptr<const Keys> keys) {
  const MutexLock lock(mutex_);
  keys_ = std::move(keys);
}

openai::Limits Context::limits() const {
  openai::Limits limits;
  limits.choices_max = options.choices_max;
  limits.stop_max = options.stop_max;
  return limits;
}

}  // namespace aio::server
