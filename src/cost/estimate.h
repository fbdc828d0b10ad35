// SPDX-License-Identifier: Apache-2.0
//
// What running a request on a variant would take. Plain data; enters a policy
// as numbers.
#pragma once

#include <cstdint>
#include <optional>

#include "cost/price.h"

namespace aio::cost {

struct Estimate {
  int context_tokens = 0;  // prompt + expected output
  int prompt_tokens = 0;
  int cached_tokens = 0;
  double output_tokens = 0;    // expected for the intent, capped by max_tokens
  double prefill_seconds = 0;  // of the uncached prompt, learned
  double seconds_per_token = 0;  // decode, learned; 0: nothing known yet
  double seconds = 0;            // expected, alone
  int64_t bytes_read = 0;        // weights once per decode step
  // Now, with what is running; absent: nobody asked, or steps are not known.
  std::optional<Price> price = {};
};

}  // namespace aio::cost
