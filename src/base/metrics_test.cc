// SPDX-License-Identifier: Apache-2.0
#include "base/metrics.h"

#include <gtest/gtest.h>

namespace aio {
namespace {

TEST(MetricsTest, TheSameNameAndLabelsAreOneSeries) {
  Metrics metrics;
  metrics.Add("x_total", "x", 1, {{"a", "1"}});
  metrics.Add("x_total", "x", 2, {{"a", "1"}});
  metrics.Add("x_total", "x", 5, {{"a", "2"}});
  const std::string text = metrics.Export();
  EXPECT_NE(text.find("x_total{a=\"1\"} 3"), std::string::npos) << text;
  EXPECT_NE(text.find("x_total{a=\"2\"} 5"), std::string::npos) << text;
}

}  // namespace
}  // namespace aio
