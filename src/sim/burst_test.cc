// SPDX-License-Identifier: Apache-2.0
//
// A burst that comes at once, as the policy spreads it over two devices of
// unlike speed, against every way to split it.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "sim/profiles.h"
#include "sim/simulation.h"

namespace aio::sim {
namespace {

constexpr int kBurst = 200;

SimDevice DeviceOf(const std::string& variant, const std::string& shape) {
  const Profile& profile = *FindProfile("ascend-910b/vllm-graph");
  SimModel model;
  model.views = {{variant}};
  model.cost = CostOf(profile, *FindShape(shape));
  model.weight_bytes = WeightBytes(profile, *FindShape(shape));
  model.sched.pages = 1 << 14;
  model.sched.sequences_max = 32;
  model.sched.queue_max = kBurst;
  SimDevice device;
  device.name = "of " + variant;
  device.models = {model};
  return device;
}

// Requests that all come at time zero; as good on either.
SimulationOptions BurstOn(const std::vector<SimDevice>& devices, int requests,
                          const std::string& policy) {
  SimulationOptions o;
  o.devices = devices;
  o.policy = policy;
  for (const SimDevice& device : devices) {
    const std::string& name = device.models[0].views[0].variant;
    o.variants.push_back(name);
    for (auto& quality : o.quality[name]) quality = core::Quality{.value = 0.7};
  }
  o.workload.name = "burst";
  o.workload.trace = {{0, 150, 250}};
  o.workload.rate = 1e9;
  o.workload.requests = requests;
  return o;
}

// Seconds that all requests have taken together.
double SumOn(const std::vector<SimDevice>& devices, int requests,
             const std::string& policy) {
  if (requests == 0) return 0;
  const auto report = Simulate(BurstOn(devices, requests, policy));
  EXPECT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->all.finished, requests);
  return report->all.total.mean * requests;
}

TEST(BurstTest, IsWithinFivePercentOfTheBestSplit) {
  SimDevice slow = DeviceOf("slow", "openpangu-7b");
  for (double& seconds : slow.models[0].cost.table.seconds) seconds *= 2;
  const SimDevice fast = DeviceOf("fast", "qwen2.5-0.5b");
  double best = std::numeric_limits<double>::infinity();
  int best_at = 0;
  for (int on_fast = 0; on_fast <= kBurst; ++on_fast) {
    const double sum = SumOn({fast}, on_fast, "static:fast") +
                       SumOn({slow}, kBurst - on_fast, "static:slow");
    if (sum >= best) continue;
    best = sum;
    best_at = on_fast;
  }
  // A split that is worth finding: neither all nor half.
  EXPECT_GT(best_at, kBurst / 2 + 5);
  EXPECT_LT(best_at, kBurst - 20);
  const double even = SumOn({fast}, kBurst / 2, "static:fast") +
                      SumOn({slow}, kBurst / 2, "static:slow");
  EXPECT_GT(even, 1.05 * best);
  EXPECT_LT(SumOn({fast, slow}, kBurst, "marginal:latency"), 1.05 * best)
      << "the best has " << best_at << " on the fast one";
}

}  // namespace
}  // namespace aio::sim
