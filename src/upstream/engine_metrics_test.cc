// SPDX-License-Identifier: Apache-2.0
#include "upstream/engine_metrics.h"

#include <gtest/gtest.h>

#include <string>

namespace aio::upstream {
namespace {

TEST(EngineMetricsTest, ReadsVllmUnderBothNamesOfItsCache) {
  const EngineMetrics old = ReadEngineMetrics(
      "# HELP vllm:num_requests_running Number of requests\n"
      "# TYPE vllm:num_requests_running gauge\n"
      "vllm:num_requests_running{model_name=\"m\"} 3.0\n"
      "vllm:num_requests_waiting{model_name=\"m\"} 2.0\n"
      "vllm:gpu_cache_usage_perc{model_name=\"m\"} 0.25\n");
  EXPECT_EQ(old.running, 3);
  EXPECT_EQ(old.waiting, 2);
  EXPECT_EQ(old.kv_used, 0.25);
  const EngineMetrics later = ReadEngineMetrics(
      "vllm:kv_cache_usage_perc{engine=\"0\"} 0.5\n"
      "vllm:kv_cache_usage_perc{engine=\"1\"} 0.75\n"
      "vllm:spec_decode_num_draft_tokens_total{a=\"b\"} 1e3\n"
      "vllm:spec_decode_num_accepted_tokens_total{a=\"b\"} 700\n");
  EXPECT_EQ(later.kv_used, 0.75);
  EXPECT_EQ(later.drafted, 1000);
  EXPECT_EQ(later.accepted, 700);
  EXPECT_FALSE(later.running);
}

TEST(EngineMetricsTest, ReadsSglangAndLlamaServer) {
  const EngineMetrics sglang = ReadEngineMetrics(
      "sglang:num_running_reqs{model_name=\"m\"} 4.0\n"
      "sglang:num_queue_reqs{model_name=\"m\"} 1.0\n"
      "sglang:token_usage{model_name=\"m\"} 0.28\n");
  EXPECT_EQ(sglang.running, 4);
  EXPECT_EQ(sglang.waiting, 1);
  EXPECT_EQ(sglang.kv_used, 0.28);
  const EngineMetrics llama = ReadEngineMetrics(
      "llamacpp:requests_processing 2\nllamacpp:requests_deferred 5\n");
  EXPECT_EQ(llama.running, 2);
  EXPECT_EQ(llama.waiting, 5);
}

TEST(EngineMetricsTest, SumsLabelSetsAndReadsTrickyLabels) {
  const EngineMetrics metrics = ReadEngineMetrics(
      "vllm:num_requests_running{a=\"} 9 \\\"{\",b=\"\"} 1 1700000000\n"
      "vllm:num_requests_running{a=\"2\"} 2\n");
  EXPECT_EQ(metrics.running, 3);
}

TEST(EngineMetricsTest, SkipsWhatIsNoSample) {
  for (const char* text :
       {"", "\n\n", "vllm:num_requests_running", "vllm:num_requests_running ",
        "vllm:num_requests_running NaN\n", "vllm:num_requests_running -1\n",
        "vllm:num_requests_running +Inf\n", "vllm:num_requests_running{a=\"",
        "vllm:num_requests_running{a=\"b\\", "vllm:num_requests_running x\n",
        "notnum_requests_running 1\n", "<html>num_requests_running 1</html>"}) {
    EXPECT_FALSE(ReadEngineMetrics(text).running) << text;
  }
}

}  // namespace
}  // namespace aio::upstream
