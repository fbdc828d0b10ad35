// SPDX-License-Identifier: Apache-2.0
//
// What the profiles reproduce of what was published, or measured by this
// project (the h200). Each comparison prints a line: docs/simulator.md has
// them.
#include "sim/profiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <span>
#include <string>

#include "cost/step_table.h"
#include "sim/simulation.h"

namespace aio::sim {
namespace {

ModelShape Shape(std::string_view name) {
  const auto shape = FindShape(name);
  EXPECT_TRUE(shape) << name;
  return shape.value_or(ModelShape{});
}

cost::StepCost Cost(const std::string& stack, std::string_view model) {
  const Profile* profile = FindProfile(stack);
  EXPECT_NE(profile, nullptr) << stack;
  return CostOf(profile ? *profile : Profile{}, Shape(model));
}

// One token for each of `sequences`, milliseconds.
double TokenMs(const cost::StepCost& cost, int sequences,
               int64_t context_each) {
  return 1e3 * cost.Seconds({.columns = sequences,
                             .context_tokens = sequences * context_each});
}

// A prompt in steps of `chunk`, seconds.
double PromptSeconds(const cost::StepCost& cost, int tokens, int chunk) {
  double seconds = 0;
  for (int done = 0; done < tokens;) {
    cost::StepSize step = {.columns = std::min(chunk, tokens - done)};
    step.Add(done, step.columns);
    done += step.columns;
    seconds += cost.Seconds(step);
  }
  return seconds;
}

void ExpectNear(const std::string& what, double model, double published,
                double tolerance) {
  const double off = model / published - 1;
  std::printf("%-44s %9.4g against %9.4g %+6.1f %%\n", what.c_str(), model,
              published, 100 * off);
  EXPECT_LE(std::abs(off), tolerance) << what;
}

// ---- shapes -----------------------------------------------------------------

// Parameters without the embedding, but with norms and biases.
TEST(ProfilesTest, ShapesHaveTheParametersOfTheirConfigurations) {
  const struct {
    const char* model;
    double params;
  } rows[] = {{"openpangu-1b", 920326656}, {"openpangu-7b", 6774431744},
              {"qwen2.5-0.5b", 357898112}, {"qwen2.5-1.5b", 1310340608},
              {"qwen2.5-7b", 6525621760},  {"llama-3.2-1b", 973146112},
              {"llama-3.1-8b", 6979588096}};
  ASSERT_EQ(std::size(rows), ShapeNames().size());
  for (const auto& row : rows) {
    EXPECT_NEAR(static_cast<double>(Shape(row.model).matrix_params), row.params,
                5e-4 * row.params)
        << row.model;
  }
}

TEST(ProfilesTest, ShapesHaveTheBytesOfTheirConfigurations) {
  const ModelShape small = Shape("openpangu-1b"), large = Shape("openpangu-7b");
  EXPECT_EQ(small.kv_bytes_per_token, 79872);
  EXPECT_EQ(large.kv_bytes_per_token, 139264);
  EXPECT_NEAR(static_cast<double>(small.weight_bytes()), 2.31e9, 5e6);
  EXPECT_NEAR(static_cast<double>(large.weight_bytes()), 14.80e9, 5e6);
}

// The repository of the paper: 2.15 GiB in 16 bits, 1.34 GiB in 8.
TEST(ProfilesTest, EightBitsAreOfTheLayersOnly) {
  const ModelShape small = Shape("openpangu-1b");
  constexpr double kGiB = 1 << 30;
  const auto gib = [&](const char* stack) {
    return static_cast<double>(WeightBytes(*FindProfile(stack), small)) / kGiB;
  };
  ExpectNear("1B GiB, 16 bits", gib("ascend-910b/vllm-graph"), 2.15, 0.05);
  ExpectNear("1B GiB, 8 bits", gib("ascend-910b/vllm-best"), 1.34, 0.05);
}

TEST(ProfilesTest, UnknownNamesFindNothing) {
  EXPECT_FALSE(FindShape("openpangu"));
  EXPECT_EQ(FindProfile("ascend-910b"), nullptr);
  EXPECT_EQ(FindProfile("cpu"), nullptr) << "measured, not looked up";
}

// ---- every profile ----------------------------------------------------------

TEST(ProfilesTest, TablesAreSuchAsAMeasurementGives) {
  for (const auto name : ProfileNames()) {
    for (const auto model : ShapeNames()) {
      const std::string what = std::string(name) + " " + std::string(model);
      const cost::StepCost cost = Cost(std::string(name), model);
      const auto checked = cost::Checked(cost.table);
      ASSERT_TRUE(checked) << what << ": " << checked.error().message;
      EXPECT_EQ(checked->seconds, cost.table.seconds) << what;
      EXPECT_EQ(cost.table.columns.front(), 1) << what;
      EXPECT_GE(cost.table.seconds.front(), cost.host_seconds) << what;
      EXPECT_TRUE(std::ranges::is_sorted(cost.sizes)) << what;
    }
  }
}

TEST(ProfilesTest, NoneClaimsToBeCalibratedAndAllSayWhatTheyAssume) {
  for (const auto name : ProfileNames()) {
    EXPECT_FALSE(FindProfile(name)->assumptions.empty()) << name;
  }
}

// Peaks: 1.6 TB/s and 376 TFLOP/s of the fastest bin called 910B2, 708 TOPS in
// 8 bits; 4.8 TB/s and 989 TFLOP/s of an H200.
TEST(ProfilesTest, NoStepIsFasterThanTheDevice) {
  for (const auto name : ProfileNames()) {
    const Profile& profile = *FindProfile(name);
    const bool h200 = name == "h200";
    for (const auto model : ShapeNames()) {
      const ModelShape shape = Shape(model);
      const cost::StepCost cost = CostOf(profile, shape);
      EXPECT_GE(cost.table.seconds.front(),
                static_cast<double>(WeightBytes(profile, shape)) /
                    (h200 ? 4.8e12 : 1.6e12))
          << name << " " << model;
      EXPECT_GE(cost.table.prefill_seconds_per_token,
                2.0 * static_cast<double>(shape.matrix_params) /
                    (h200 ? 989e12 : 376e12))
          << name << " " << model;
    }
  }
}

// ---- decoding ---------------------------------------------------------------

TEST(ProfilesTest, ATokenTakesWhatEachStackMeasured) {
  const struct {
    const char* stack;
    double small, large;  // ms
  } rows[] = {{"ascend-910b/hf-eager", 46.3, 58.2},
              {"ascend-910b/vllm-eager", 30.6, 37.3},
              {"ascend-910b/vllm-graph", 12.4, 16.4},
              {"ascend-910b/vllm-best", 11.4, 15.9}};
  for (const auto& row : rows) {
    const std::string what = std::string("ms/token ") + row.stack;
    // 32 tokens of prompt, 128 of answer.
    ExpectNear(what + " 1B", TokenMs(Cost(row.stack, "openpangu-1b"), 1, 96),
               row.small, 0.05);
    ExpectNear(what + " 7B", TokenMs(Cost(row.stack, "openpangu-7b"), 1, 96),
               row.large, 0.05);
  }
}

// (4.302 - 1.879) s and (2.006 - 0.173) s for 128 tokens.
TEST(ProfilesTest, ContextCostsItsBytes) {
  const std::string stack = "ascend-910b/vllm-graph";
  ExpectNear("ms/token at 16K, 1B",
             TokenMs(Cost(stack, "openpangu-1b"), 1, 16384 + 64), 14.3, 0.05);
  ExpectNear("ms/token at 16K, 7B",
             TokenMs(Cost(stack, "openpangu-7b"), 1, 16384 + 64), 18.9, 0.05);
}

// Median time between tokens, 1,023 tokens of prompt and 128 of answer.
TEST(ProfilesTest, BatchesTakeWhatTheServerMeasured) {
  const std::string stack = "ascend-910b/vllm-graph";
  const struct {
    int sequences;
    double small, large;  // ms
  } rows[] = {{1, 12.12, 17.08}, {8, 14.38, 20.37}, {16, 14.86, 21.96}};
  for (const auto& row : rows) {
    const std::string what =
        "ms/token, " + std::to_string(row.sequences) + " at once, ";
    ExpectNear(what + "1B",
               TokenMs(Cost(stack, "openpangu-1b"), row.sequences, 1023 + 64),
               row.small, 0.05);
    ExpectNear(what + "7B",
               TokenMs(Cost(stack, "openpangu-7b"), row.sequences, 1023 + 64),
               row.large, 0.05);
  }
}

// Not fitted to. (2.596 - 0.660) s for 96 tokens of eight 7B sequences, and
// (1.835 - 0.448) s of the 1B, in a run whose graphs had no size of 8, so that
// the batch was padded to 16.
TEST(ProfilesTest, ABatchWithoutAServerIsWithinATenth) {
  const std::string stack = "ascend-910b/vllm-graph";
  ExpectNear("ms/token, 8 without a server, 1B",
             TokenMs(Cost(stack, "openpangu-1b"), 8, 112), 1387.0 / 96, 0.10);
  ExpectNear("ms/token, 8 without a server, 7B",
             TokenMs(Cost(stack, "openpangu-7b"), 8, 112), 1936.0 / 96, 0.10);
}

TEST(ProfilesTest, GraphsPadABatchButNoPrompt) {
  cost::StepCost cost = Cost("ascend-910b/vllm-graph", "openpangu-1b");
  ASSERT_FALSE(cost.sizes.empty());
  ASSERT_EQ(cost.sizes.back(), 64);
  cost.table.columns = {1, 64};
  cost.table.seconds = {0, 63};  // so that a step tells its size
  cost.table.pair_seconds = 0;
  cost.host_seconds = 0;
  EXPECT_DOUBLE_EQ(cost.Seconds({.columns = 3}), 3);
  EXPECT_DOUBLE_EQ(cost.Seconds({.columns = 9}), 15);
  EXPECT_DOUBLE_EQ(cost.Seconds({.columns = 9, .prefill = true}), 8);
}

// ---- prompts ----------------------------------------------------------------

TEST(ProfilesTest, PromptsTakeWhatWasMeasured) {
  const cost::StepCost small = Cost("ascend-910b/vllm-graph", "openpangu-1b");
  const cost::StepCost large = Cost("ascend-910b/vllm-graph", "openpangu-7b");
  const struct {
    int tokens;
    double small, large;  // seconds
  } rows[] = {{2048, 0.034, 0.140},
              {4096, 0.036, 0.303},
              {8192, 0.066, 0.755},
              {16384, 0.173, 1.879}};
  for (const auto& row : rows) {
    const std::string what = "s prompt of " + std::to_string(row.tokens);
    ExpectNear(what + ", 1B", PromptSeconds(small, row.tokens, row.tokens),
               row.small, 0.05);
    ExpectNear(what + ", 7B", PromptSeconds(large, row.tokens, row.tokens),
               row.large, 0.05);
  }
}

TEST(ProfilesTest, AModelThatNobodyMeasuredReadsPromptsAsThe7B) {
  const Profile& profile = *FindProfile("ascend-910b/vllm-graph");
  ModelShape shape = Shape("openpangu-7b");
  const cost::StepCost known = CostOf(profile, shape);
  shape.name = "another";
  const cost::StepCost other = CostOf(profile, shape);
  for (const int tokens : {1024, 4096, 16384}) {
    const double seconds = PromptSeconds(known, tokens, tokens);
    EXPECT_NEAR(PromptSeconds(other, tokens, tokens), seconds, 0.005 * seconds);
  }
}

// 4.215 s for 16,384 + 128 tokens in chunks of 4,096; 2.004 s of the 1B.
// Nothing was fitted to it.
TEST(ProfilesTest, LongPromptsInChunksTakeWhatWasMeasured) {
  const auto seconds = [](std::string_view model) {
    const cost::StepCost cost = Cost("ascend-910b/vllm-graph", model);
    return PromptSeconds(cost, 16384, 4096) +
           128e-3 * TokenMs(cost, 1, 16384 + 64);
  };
  const double small = seconds("openpangu-1b"), large = seconds("openpangu-7b");
  ExpectNear("s 16,384 + 128 in chunks, 1B", small, 2.004, 0.05);
  ExpectNear("s 16,384 + 128 in chunks, 7B", large, 4.215, 0.05);
}

TEST(ProfilesTest, WidthsThatOnlyAPromptHasPayItsLaunches) {
  const cost::StepCost cost = Cost("ascend-910b/vllm-graph", "openpangu-1b");
  EXPECT_LT(cost.table.Seconds(64, 0), 0.015);
  EXPECT_DOUBLE_EQ(cost.table.Seconds(65, 0), 26 * 1.35e-3);
}

// ---- the h200, as measured by bench/gpu/step_times.py -----------------------

// ms of steps in graphs, with so many tokens before each column; 0 where the
// cache did not fit.
constexpr int kSequences[] = {1, 2, 4, 8, 16, 32, 64};
struct Decoding {
  const char* model;
  int context;
  double ms[7];
};

void ExpectDecoding(std::span<const Decoding> rows, double tolerance) {
  for (const Decoding& row : rows) {
    const cost::StepCost cost = Cost("h200", row.model);
    for (size_t i = 0; i < std::size(kSequences); ++i) {
      if (row.ms[i] == 0) continue;
      ExpectNear("ms/token, " + std::to_string(kSequences[i]) + " with " +
                     std::to_string(row.context) + ", " + row.model,
                 TokenMs(cost, kSequences[i], row.context), row.ms[i],
                 tolerance);
    }
  }
}

TEST(ProfilesH200Test, DecodingTakesWhatWasMeasured) {
  constexpr Decoding kRows[] = {
      {"openpangu-1b", 16, {1.235, 1.244, 1.236, 1.223, 1.252, 1.304, 1.428}},
      {"openpangu-1b", 1024, {1.332, 1.364, 1.402, 1.472, 1.589, 1.929, 2.608}},
      {"openpangu-1b", 4096, {1.424, 1.494, 1.638, 1.932, 2.494, 3.783, 6.186}},
      {"openpangu-1b",
       16384,
       {1.656, 1.957, 2.557, 3.795, 6.136, 11.188, 20.956}},
      {"openpangu-7b", 16, {4.515, 4.574, 4.568, 4.611, 4.611, 4.709, 4.949}},
      {"openpangu-7b", 1024, {4.659, 4.747, 4.844, 5.000, 5.138, 5.750, 6.937}},
      {"openpangu-7b",
       4096,
       {4.812, 4.975, 5.210, 5.750, 6.668, 8.798, 12.977}},
      {"openpangu-7b", 16384, {5.186, 5.724, 6.719, 8.777, 12.621, 0, 0}},
  };
  ExpectDecoding(kRows, 0.075);
}

TEST(ProfilesH200Test, ModelsThatNothingWasFittedToDecodeAsWell) {
  constexpr Decoding kRows[] = {
      {"llama-3.2-1b", 16, {0.998, 1.004, 1.017, 1.022, 1.048, 1.067, 1.120}},
      {"llama-3.2-1b", 4096, {1.102, 1.125, 1.195, 1.318, 1.610, 2.039, 3.054}},
      {"qwen2.5-1.5b", 16, {1.494, 1.519, 1.508, 1.480, 1.511, 1.568, 1.638}},
      {"qwen2.5-1.5b", 4096, {1.639, 1.690, 1.752, 1.836, 2.065, 2.523, 3.359}},
      {"llama-3.1-8b", 16, {4.378, 4.403, 4.434, 4.456, 4.519, 4.661, 4.934}},
      {"llama-3.1-8b",
       4096,
       {4.667, 4.779, 5.009, 5.516, 6.419, 8.487, 12.513}},
  };
  ExpectDecoding(kRows, 0.075);
}

// Launched call by call.
void ExpectPrompt(const char* model, int tokens, double ms, double tolerance) {
  ExpectNear("ms prompt of " + std::to_string(tokens) + ", " + model,
             1e3 * PromptSeconds(Cost("h200", model), tokens, tokens), ms,
             tolerance);
}

TEST(ProfilesH200Test, LongPromptsTakeWhatWasMeasured) {
  ExpectPrompt("openpangu-1b", 2048, 9.088, 0.13);
  ExpectPrompt("openpangu-1b", 4096, 17.142, 0.02);
  ExpectPrompt("openpangu-1b", 8192, 37.808, 0.02);
  ExpectPrompt("openpangu-1b", 16384, 93.280, 0.02);
  ExpectPrompt("openpangu-7b", 512, 12.860, 0.13);
  ExpectPrompt("openpangu-7b", 1024, 23.667, 0.03);
  ExpectPrompt("openpangu-7b", 2048, 48.276, 0.03);
  ExpectPrompt("openpangu-7b", 4096, 98.683, 0.02);
  ExpectPrompt("openpangu-7b", 8192, 210.826, 0.02);
  ExpectPrompt("openpangu-7b", 16384, 488.030, 0.02);
}

// The host launches them, and had other things to do.
TEST(ProfilesH200Test, ShortPromptsTakeAsLongAsAHostAloneTakes) {
  ExpectPrompt("openpangu-1b", 128, 9.277, 0.31);
  ExpectPrompt("openpangu-1b", 256, 9.096, 0.31);
  ExpectPrompt("openpangu-1b", 512, 6.167, 0.06);
  ExpectPrompt("openpangu-1b", 1024, 6.292, 0.06);
  ExpectPrompt("openpangu-7b", 128, 8.771, 0.06);
  ExpectPrompt("openpangu-7b", 256, 8.542, 0.06);
}

TEST(ProfilesH200Test, PromptsOfModelsWithoutARateAreWithinATenth) {
  ExpectPrompt("llama-3.2-1b", 4096, 16.986, 0.10);
  ExpectPrompt("llama-3.2-1b", 16384, 93.777, 0.10);
  ExpectPrompt("qwen2.5-1.5b", 4096, 22.446, 0.10);
  ExpectPrompt("qwen2.5-1.5b", 16384, 117.192, 0.10);
  ExpectPrompt("llama-3.1-8b", 1024, 24.122, 0.10);
  ExpectPrompt("llama-3.1-8b", 4096, 100.019, 0.10);
  ExpectPrompt("llama-3.1-8b", 16384, 488.685, 0.10);
}

// ---- the paper's contenders, one request at a time --------------------------

struct Speeds {
  double small, large;  // tokens/s
  // Of the mix with this share of tokens on the small model.
  double OfTokens(double share) const {
    return 1 / (share / small + (1 - share) / large);
  }
  // The mean over requests of their tokens/s, with this share of requests.
  double OfRequests(double share) const {
    return share * small + (1 - share) * large;
  }
};

Speeds PaperSpeeds() {
  const std::string stack = "ascend-910b/hf-eager";
  return {1e3 / TokenMs(Cost(stack, "openpangu-1b"), 1, 512),
          1e3 / TokenMs(Cost(stack, "openpangu-7b"), 1, 512)};
}

TEST(ProfilesPaperTest, StaticModelsHaveBothPairsOfSpeeds) {
  const Speeds s = PaperSpeeds();
  ExpectNear("tokens/s, all 1B, of the table", s.small, 21.5, 0.01);
  ExpectNear("tokens/s, all 7B, of the table", s.large, 16.6, 0.01);
  ExpectNear("tokens/s, all 1B, of the text", s.small, 21.58, 0.05);
  ExpectNear("tokens/s, all 7B, of the text", s.large, 17.18, 0.05);
}

// A share of tokens is the harmonic mean of speeds, one of requests the
// arithmetic. The paper's own 21.5 and 16.6 give 71 and 65 %.
TEST(ProfilesPaperTest, TheMixedSpeedTellsTheShareOfTheSmallModel) {
  const Speeds s = PaperSpeeds();
  const double tokens = (1 / s.large - 1 / 19.80) / (1 / s.large - 1 / s.small);
  const double requests = (19.80 - s.large) / (s.small - s.large);
  ExpectNear("share on 1B for 19.80, of tokens", tokens, 0.709, 0.03);
  ExpectNear("share on 1B for 19.80, of requests", requests, 0.653, 0.03);
  EXPECT_NEAR(s.OfTokens(tokens), 19.80, 1e-9);
  EXPECT_NEAR(s.OfRequests(requests), 19.80, 1e-9);
}

// Shares of the benchmarks in a workload, in percent.
struct Mix {
  int human_eval, c_eval, mmlu, gsm8k;
  // By the row of the routed system.
  double Accuracy() const {
    return (67.10 * human_eval + 79.35 * c_eval + 88.10 * mmlu +
            82.15 * gsm8k) /
           100;
  }
};

// Calls with every mix whose accuracy is `percent`, give or take 0.1.
template <typename Visit>
void ForMixes(double percent, Visit visit) {
  for (int h = 0; h <= 100; ++h) {
    for (int c = 0; c <= 100 - h; ++c) {
      for (int m = 0; m <= 100 - h - c; ++m) {
        const Mix mix{h, c, m, 100 - h - c - m};
        if (std::abs(mix.Accuracy() - percent) <= 0.1) visit(mix);
      }
    }
  }
}

// Code goes to the 1B, all else to the 7B: the rule that the accuracies per
// benchmark show. 70.85 % and 19.80 tokens/s are of one workload.
TEST(ProfilesPaperTest, AMixOfCodeHasBothTheAccuracyAndTheSpeed) {
  const Speeds s = PaperSpeeds();
  Mix nearest{};
  int code_least = 100, code_most = 0;
  ForMixes(70.85, [&](const Mix& mix) {
    const auto off = [&](const Mix& m) {
      return std::abs(s.OfTokens(0.01 * m.human_eval) / 19.80 - 1);
    };
    if (off(mix) < off(nearest)) nearest = mix;
    if (off(mix) > 0.01) return;
    code_least = std::min(code_least, mix.human_eval);
    code_most = std::max(code_most, mix.human_eval);
  });
  std::printf(
      "mix: HumanEval %d, C-Eval %d, MMLU %d, GSM8K %d; code %d-%d %%\n",
      nearest.human_eval, nearest.c_eval, nearest.mmlu, nearest.gsm8k,
      code_least, code_most);
  ExpectNear("accuracy, code-centric", nearest.Accuracy(), 70.85, 0.002);
  ExpectNear("tokens/s, code-centric", s.OfTokens(0.01 * nearest.human_eval),
             19.80, 0.005);
  EXPECT_GE(code_least, 68) << "it is seven tenths of code";
  EXPECT_LE(code_most, 75);
}

// The table of contenders at concurrency 1, by the accuracies of the two models
// alone. The probe is right in 93 % of the cases here, in 92 % there.
TEST(ProfilesPaperTest, TheContendersAtConcurrencyOne) {
  const Profile& device = *FindProfile("ascend-910b/hf-eager");
  SimulationOptions o;
  o.variants = {"openpangu-1b", "openpangu-7b"};
  o.devices.resize(1);
  for (const std::string& name : o.variants) {
    SimModel model;
    model.views = {{name}};
    model.cost = CostOf(device, Shape(name));
    model.weight_bytes = WeightBytes(device, Shape(name));
    model.sched.sequences_max = device.sequences_max;
    model.sched.columns_max = device.columns_max;
    model.sched.pages = 4096;
    o.devices[0].models.push_back(std::move(model));
    o.quality[name] = *PublishedQuality(name);
  }
  o.workload = *NamedWorkload("paper-code");
  o.workload.clients = 1;
  o.workload.requests = 2000;
  const auto run = [&](const std::string& policy) {
    o.policy = policy;
    return Simulate(o)->all;
  };
  const ReportRow small = run("static:openpangu-1b");
  const ReportRow large = run("static:openpangu-7b");
  const ReportRow paper = run("paper");
  ExpectNear("tokens/s, 1B alone", small.tokens_per_second, 21.5, 0.05);
  ExpectNear("tokens/s, 7B alone", large.tokens_per_second, 16.6, 0.05);
  ExpectNear("tokens/s, routed", paper.tokens_per_second, 19.80, 0.05);
  ExpectNear("accuracy, routed", 100 * paper.quality, 70.85, 0.01);
  EXPECT_GT(paper.quality, std::max(small.quality, large.quality));
  // The paper has 71 to 80 % for it, which no choice between the two reaches.
  EXPECT_LT(run("random").quality, paper.quality);
}

// No workload of 76.50 % by that rule is as fast: more code would be less
// accurate. 19.80 is not the speed of the knowledge-centric one.
TEST(ProfilesPaperTest, NoMixOfKnowledgeHasTheSameSpeed) {
  const Speeds s = PaperSpeeds();
  double tokens = 0, requests = 0;
  int code_least = 100, code_most = 0;
  ForMixes(76.50, [&](const Mix& mix) {
    tokens = std::max(tokens, s.OfTokens(0.01 * mix.human_eval));
    requests = std::max(requests, s.OfRequests(0.01 * mix.human_eval));
    code_least = std::min(code_least, mix.human_eval);
    code_most = std::max(code_most, mix.human_eval);
  });
  std::printf(
      "knowledge-centric: code %d-%d %%, at most %.2f tokens/s of tokens, %.2f "
      "of requests\n",
      code_least, code_most, tokens, requests);
  EXPECT_GT(tokens, s.large) << "there are such mixes";
  EXPECT_LT(tokens, 0.98 * 19.80);
  EXPECT_LT(requests, 0.985 * 19.80);
}

}  // namespace
}  // namespace aio::sim
