// SPDX-License-Identifier: Apache-2.0
//
// The policies that a config can name:
//
//   static:<variant>  always that one
//   random            any that fits, evenly; the baseline of a comparison
//   marginal          the variant that is good enough and costs least now
//                     (policy/marginal.h)
//   paper             the rule of A-IO (arXiv 2604.09752): code, a context of
//                     at most 2K tokens and a certain intent go to the small
//                     variant; everything else goes to the large one
//
// If the one a policy wants is unfit, another one that is fit answers and the
// reason says so. What the rule leaves open is decided towards quality: large
// before small.
//
// Thread safety: const and stateless.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "policy/policy.h"

namespace aio::policy {

struct Options {
  struct Variant {
    std::string name;
    int64_t bytes_per_token = 0;  // 0: unknown
  };
  std::vector<Variant> variants;  // config order; not empty
  // Empty: the variants with the fewest and the most bytes per token. Must be
  // said where the size of one of several is unknown, as with an upstream.
  std::string small;
  std::string large;
  double entropy_max = 0.45;    // nats, over code / math / other; the paper's
  double quality_floor = 0.97;  // of marginal, relative to the best
  std::string objective = "tradeoff";  // of it: latency, throughput, tradeoff
  int context_tokens_max = 2048;
};

// The two that a rule, or a comparison, is between: those that are named, else
// the first with the fewest and the first with the most bytes per token. One
// and the same where there is nobody else. Errors as of Make.
struct Ends {
  std::string small;
  std::string large;
};
Result<Ends> EndsOf(const Options& options);

// Errors: kInvalidArgument with the config key at fault in `param`.
Result<std::shared_ptr<const Policy>> Make(std::string_view kind,
                                           const Options& options);

}  // namespace aio::policy
