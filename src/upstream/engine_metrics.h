// SPDX-License-Identifier: Apache-2.0
//
// What an engine says of itself at /metrics, in Prometheus' text format: how
// many requests it has, from whomever, and how full its KV cache is. Names
// differ by engine and by age ("vllm:num_requests_running",
// "vllm:gpu_cache_usage_perc", later "vllm:kv_cache_usage_perc",
// "sglang:num_running_reqs", "llamacpp:requests_processing", our own
// "aio_engine_running"), so they are known
// by their ends.
//
// Thread safety: a free function, no state. Input is a remote server's.
#pragma once

#include <optional>
#include <string_view>

namespace aio::upstream {

struct EngineMetrics {
  // Summed over the label sets of a name.
  std::optional<double> running;
  std::optional<double> waiting;
  std::optional<double> kv_used;  // a share, the largest of all
  // Drafted tokens, and of those the accepted ones, since the engine's start.
  std::optional<double> drafted, accepted;
};

// Lines that are no sample are skipped; values that are no finite number of at
// least 0, too.
EngineMetrics ReadEngineMetrics(std::string_view text);

}  // namespace aio::upstream
