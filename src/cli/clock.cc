// SPDX-License-Identifier: Apache-2.0
#include "cli/clock.h"

#include <chrono>

namespace aio::cli {

double NowSeconds() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace aio::cli
