// SPDX-License-Identifier: Apache-2.0
#include "sim/grid.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <string>
#include <vector>

#include "sim/profiles.h"

namespace aio::sim {
namespace {

using core::Strategy;

const Contender& Named(const std::vector<Contender>& all,
                       const std::string& name) {
  const auto found = std::ranges::find(all, name, &Contender::name);
  EXPECT_NE(found, all.end()) << name;
  return found == all.end() ? all.front() : *found;
}

TEST(GridTest, TheContendersAreThoseThatWereAskedFor) {
  const auto all = Contenders({"s", "l", {"l@4"}}, {0.97, 0.8}, true);
  std::vector<std::string> names;
  for (const Contender& c : all) names.push_back(c.name);
  EXPECT_EQ(names, (std::vector<std::string>{
                       "static:s", "static:l", "static:l@4", "small+lookup",
                       "random", "paper", "marginal:own", "marginal:own+system",
                       "marginal:own+system+others", "marginal, no probe",
                       "marginal", "marginal@0.80", "oracle", "oracle@0.80"}));
  EXPECT_EQ(Named(all, "static:s").strategy, Strategy::kPlain);
  EXPECT_EQ(Named(all, "small+lookup").strategy, Strategy::kAuto);
  EXPECT_EQ(Named(all, "paper").variants, (std::vector<std::string>{"s", "l"}));
  EXPECT_EQ(Named(all, "marginal").variants.size(), 3u);
  EXPECT_TRUE(Named(all, "marginal").model_probe);
  EXPECT_FALSE(Named(all, "marginal, no probe").model_probe);
  EXPECT_FALSE(Named(all, "oracle").model_probe);
  EXPECT_TRUE(Named(all, "oracle@0.80").oracle);
  EXPECT_DOUBLE_EQ(Named(all, "oracle@0.80").quality_floor, 0.8);
}

// 1B and 7B as on an NPU under graphs, few requests.
GridOptions Small() {
  GridOptions o;
  SimDevice device;
  device.name = "npu";
  for (const char* name : {"openpangu-1b", "openpangu-7b"}) {
    SimModel model;
    const Profile& profile = *FindProfile("ascend-910b/vllm-graph");
    model.views = {{name}};
    model.cost = CostOf(profile, *FindShape(name));
    model.weight_bytes = WeightBytes(profile, *FindShape(name));
    model.sched.pages = 4096;
    device.models.push_back(model);
    o.base.variants.push_back(name);
    o.base.quality[name] = *PublishedQuality(name);
  }
  o.base.devices = {device};
  o.base.workload = *NamedWorkload("code-centric");
  o.base.workload.requests = 40;
  o.base.model_probe = SimModelProbe{.variant = "openpangu-1b"};
  o.variants = {"openpangu-1b", "openpangu-7b", {}};
  o.contenders = Contenders(o.variants, {0.97}, true);
  o.clients = {1, 4};
  o.shares = {0.5};
  o.arrivals = {0, 0.1, 0.2, 10};
  return o;
}

TEST(GridTest, ThreadsDoNotChangeIt) {
  GridOptions one = Small();
  GridOptions three = Small();
  three.threads = 3;
  const auto a = RunGrid(one), b = RunGrid(three);
  ASSERT_TRUE(a) << a.error().message;
  ASSERT_TRUE(b);
  EXPECT_EQ(boost::json::serialize(GridJson(*a)),
            boost::json::serialize(GridJson(*b)));
  ASSERT_EQ(a->loads.size(), 4u);
  EXPECT_EQ(a->loads[0].Name(), "1 client");
  EXPECT_EQ(a->loads[2].Name(), "0.5 Poisson");
  EXPECT_EQ(a->loads[3].Name(), "0.5 bursts");
  EXPECT_GT(a->capacity, 0);
  for (const auto& row : a->reports) {
    for (const Report& r : row) EXPECT_EQ(r.all.finished, 40);
    EXPECT_EQ(row[0].variants.size(), 1u);  // static: nobody else is there
    EXPECT_DOUBLE_EQ(row[0].variants[0].share, 1);
  }
  // All contenders are asked the same.
  EXPECT_EQ(a->reports[0][0].all.output_tokens,
            a->reports[0][5].all.output_tokens);
}

TEST(GridTest, AnErrorEndsIt) {
  GridOptions o = Small();
  o.threads = 2;
  o.contenders[3].policy = "none";
  EXPECT_EQ(RunGrid(o).error().code, ErrorCode::kInvalidArgument);
}

// Tokens a second and quality, by contender; two loads.
Grid ByHand() {
  Grid grid;
  grid.variants = {"s", "l", {}};
  grid.contenders = Contenders(grid.variants, {0.97, 0.8}, false);
  grid.loads = {{1, 0, false}, {4, 0, false}};
  const auto report = [](double tokens, double quality) {
    Report r;
    r.all.tokens_per_second = tokens;
    r.all.quality = quality;
    return r;
  };
  // static:s, static:l, small+lookup, random, paper, own, own+system,
  // own+system+others, marginal, marginal@0.80, oracle, oracle@0.80.
  grid.reports = {
      {report(50, .66), report(10, .70), report(60, .66), report(20, .68),
       report(16, .71), report(15, .71), report(16, .71), report(12, .71),
       report(20, .71), report(48, .66), report(25, .71), report(64, .66)},
      {report(50, .66), report(30, .70), report(60, .66), report(33, .68),
       report(40, .72), report(15, .71), report(45, .708), report(12, .71),
       report(44, .71), report(57, .66), report(55, .71), report(60, .66)}};
  return grid;
}

TEST(GridTest, EachIsComparedWithThoseOfItsQuality) {
  const Grid grid = ByHand();
  const size_t marginal = 8;
  const GridVerdict one = VerdictOf(grid, 0, marginal);
  EXPECT_DOUBLE_EQ(one.over_large, 2);
  EXPECT_DOUBLE_EQ(one.over_paper, 1.25);
  EXPECT_DOUBLE_EQ(one.over_oracle, 0.8);
  EXPECT_NEAR(one.quality_gap, 0.01, 1e-12);
  // Those that are quicker are worse, and the oracle is no contender.
  EXPECT_DOUBLE_EQ(one.over_best, 1);
  EXPECT_EQ(one.best, "marginal");
  // 0.708 is as good as 0.71.
  const GridVerdict four = VerdictOf(grid, 1, marginal);
  EXPECT_DOUBLE_EQ(four.over_best, 44.0 / 45);
  EXPECT_EQ(four.best, "marginal:own+system");
  // Not if one intent is worse for it.
  Grid uneven = grid;
  uneven.reports[1][marginal].all.quality_of[0] = 0.70;
  uneven.reports[1][marginal - 2].all.quality_of[0] = 0.68;
  EXPECT_EQ(VerdictOf(uneven, 1, marginal).best, "marginal");
  const GridVerdict low = VerdictOf(grid, 0, marginal + 1);
  EXPECT_DOUBLE_EQ(low.over_best, 0.8);
  EXPECT_EQ(low.best, "small+lookup");
  EXPECT_DOUBLE_EQ(low.over_oracle, 0.75);
}

TEST(GridTest, TheSummaryHasTheWorstOfAllLoads) {
  for (const GridSummary& s : SummariesOf(ByHand())) {
    if (s.contender != "marginal") continue;
    EXPECT_DOUBLE_EQ(s.large_at_one, 2);
    EXPECT_DOUBLE_EQ(s.best_worst, 44.0 / 45);
    EXPECT_EQ(s.best_load, "4 clients");
    EXPECT_EQ(s.best_name, "marginal:own+system");
    EXPECT_DOUBLE_EQ(s.paper_most, 1.1);  // with 4; with 1 it is 1.25
    EXPECT_DOUBLE_EQ(s.oracle_worst, 0.8);
    EXPECT_NEAR(s.quality_least, 0.01, 1e-12);
    return;
  }
  FAIL() << "no marginal";
}

TEST(GridTest, ThePageHasALineForEachAndNoScript) {
  Grid grid = ByHand();
  grid.workload = "a<b";
  grid.device = "npu";
  const std::string page = GridHtml({grid});
  for (const Contender& c : grid.contenders) {
    EXPECT_NE(page.find("<title>" + c.name + "</title>"), std::string::npos);
  }
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("a<b"), std::string::npos);
  EXPECT_NE(page.find("a&lt;b"), std::string::npos);
}

}  // namespace
}  // namespace aio::sim
