// SPDX-License-Identifier: Apache-2.0
//
// Sources, by the letters that stand behind the numbers:
//
//   [P] arXiv 2604.09752 (the paper), second hand: 910B 64 GB, Transformers in
//       eager mode
//   [Z] github.com/VivianZan/Ascend-Pangu-Infer, pangu-{1B,7B}/latency and
//       /throughput: 910B2, vLLM 0.9.2 with vllm-ascend; one laboratory
//   [O] openPangu's guide for vllm-ascend, the same versions
//   [V] vLLM 0.9.2, vllm/config.py
//   [M] measured by this project: bench/gpu/step_times.py, PyTorch 2.11, one
//       H200; bench/gpu/h200.jsonl
//   [A] assumed: no source
#include "sim/profiles.h"

#include <algorithm>

namespace aio::sim {
namespace {

// [V] 1, 2, 4 and multiples of 8 up to twice the sequences.
constexpr int kGraphSizes[] = {1, 2, 4, 8, 16, 24, 32, 40, 48, 56, 64};

// Fitted to [Z]'s prompts of 2,048 to 16,384 tokens at once, of four lengths.
// The 7B's are 219 and 82 TFLOP/s, which stand for other models too.
constexpr PrefillRate kAscendPrefill[] = {
    {"openpangu-1b", 5.55e-6, 3.05e-10},
    {"openpangu-7b", 6.186e-5, 3.397e-9},
};

constexpr Profile Ascend910b(std::string_view name) {
  Profile p;
  p.name = name;
  // [Z] 7B: 14.8 GB in 16.4 ms; 2.28 GB of KV in 18.9 - 16.4 ms. Of 1.6 TB/s.
  p.bandwidth = 0.9e12;
  p.matrix_flops = 219e12;    // [Z] the 7B's prompts
  p.attention_flops = 82e12;  // [Z] the same
  p.prefill = kAscendPrefill;
  // A model's 3.9 s for the first 1,285 tokens, vllm-ascend issue 14399; of
  // another model and version. [A] that it holds here: [Z]'s log of the 7B has
  // 0.1 s for the first iteration of a warm-up.
  p.first_step_seconds = 3.9;
  return p;
}

constexpr Profile AscendVllm(std::string_view name, double host_seconds) {
  Profile p = Ascend910b(name);
  p.host_seconds_per_layer = host_seconds;
  // [Z] 1B and 7B served at 8 and 16 sequences, median time between tokens.
  p.batch_seconds_per_layer = 0.055e-3;
  // [Z] 1B: 34 ms for 2,048 tokens, 36 ms for 4,096; graphs do not help:
  // 45 ms for the 7B's 512, a captured size there.
  p.prompt_seconds_per_layer = 1.35e-3;
  p.sequences_max = 32;  // [O] --max-num-seqs
  p.columns_max = 4096;  // [O] --max-num-batched-tokens
  return p;
}

constexpr Profile HfEager() {
  Profile p = Ascend910b("ascend-910b/hf-eager");
  // [P] 21.5 and 16.6 tokens/s are 1.79 and 1.77 ms a layer; 21.58 and 17.18,
  // its other pair, 1.78 and 1.71.
  p.host_seconds_per_layer = 1.78e-3;
  p.prompt_seconds_per_layer = 1.78e-3;  // [A] as in decoding
  p.sequences_max = 1;                   // [P] no continuous batching
  p.columns_max = 16384;                 // whole prompts
  p.assumptions =
      "bandwidth and prefill rates as under vLLM; launching a prompt costs as "
      "much as launching a token; a cold first step as of another model";
  return p;
}

constexpr Profile VllmEager() {
  // [Z] 30.6 and 37.3 ms a token are 1.18 and 1.10 ms a layer.
  Profile p = AscendVllm("ascend-910b/vllm-eager", 1.14e-3);
  p.decode_columns_max = p.sequences_max;
  p.assumptions =
      "a batch costs as much more as with graphs; one laboratory, one card; "
      "two columns of one sequence cost as much as two sequences; a cold first "
      "step as of another model; prefill rates of models other than openPangu "
      "as of the 7B";
  return p;
}

constexpr Profile VllmGraph() {
  // [Z] 12.4 and 16.4 ms a token are 0.48 ms a layer, both.
  Profile p = AscendVllm("ascend-910b/vllm-graph", 0.48e-3);
  p.sizes = kGraphSizes;
  p.assumptions =
      "one laboratory, one card; two columns of one sequence cost as much as "
      "two sequences; a cold first step as of another model; prefill rates of "
      "models other than openPangu as of the 7B";
  return p;
}

// All that [Z] has, at once: graphs and weights and activations in 8 bits, so
// it is another model than the one in 16 bits.
constexpr Profile VllmBest() {
  // [Z] 11.4 and 15.9 ms a token are 0.44 and 0.47 ms a layer.
  Profile p = AscendVllm("ascend-910b/vllm-best", 0.45e-3);
  p.matrix_bytes = 1;  // [Z] --quantization ascend, A8W8
  p.sizes = kGraphSizes;
  p.assumptions =
      "8 bits per weight of the layers, 16 of the head; prefill as fast as in "
      "16 bits; one laboratory, one card; two columns of one sequence cost as "
      "much as two sequences; a cold first step as of another model";
  return p;
}

// Fitted to [M]'s prompts of 4,096 to 16,384 tokens launched call by call: 504
// and 614 TFLOP/s of the matrices, 655 and 602 of attention.
constexpr PrefillRate kH200Prefill[] = {
    {"openpangu-1b", 3.654e-6, 1.219e-10},
    {"openpangu-7b", 2.207e-5, 4.629e-10},
};

constexpr Profile H200() {
  Profile p;
  p.name = "h200";
  // [M] all three fitted to the 54 steps of openPangu in graphs, of 1 to 64
  // sequences with 16 to 16,384 tokens each. A copy has 4.26 TB/s.
  p.bandwidth = 4.1e12;
  p.kernel_seconds_per_layer = 26.5e-6;
  p.batch_seconds_per_layer = 2e-6;
  // [M] prompts of 128 to 1,024 tokens, and decoding, launched call by call
  // where nothing disturbs the host; medians are up to 0.5e-3.
  p.prompt_seconds_per_layer = 0.25e-3;
  p.prefill = kH200Prefill;
  // [M] between the 540 and 620 TFLOP/s of Llamas of 1B and 8B.
  p.matrix_flops = 570e12;
  p.attention_flops = 570e12;
  p.sizes = kGraphSizes;
  p.sequences_max = 32;  // [A] as on Ascend, for comparison
  p.columns_max = 8192;  // vLLM's default there, pull request 12369
  p.assumptions =
      "kernels and launches of PyTorch, where a serving stack has its own; its "
      "scheduler, pages and sampling take no time; nothing disturbs the host; "
      "one card; prefill rates of models other than openPangu as of two "
      "Llamas; no cold first step";
  return p;
}

constexpr Profile kProfiles[] = {HfEager(), VllmEager(), VllmGraph(),
                                 VllmBest(), H200()};

// config.json of each, as published.
constexpr Architecture kArchitectures[] = {
    {"openpangu-1b", 26, 1536, 6144, 12, 6, 128, 153376},
    {"openpangu-7b", 34, 4096, 12800, 32, 8, 128, 153376},
    {"qwen2.5-0.5b", 24, 896, 4864, 14, 2, 64, 151936},
    {"qwen2.5-1.5b", 28, 1536, 8960, 12, 2, 128, 151936},
    {"qwen2.5-7b", 28, 3584, 18944, 28, 4, 128, 152064},
    {"llama-3.2-1b", 16, 2048, 8192, 32, 8, 64, 128256},
    {"llama-3.1-8b", 32, 4096, 14336, 32, 8, 128, 128256},
};

// [P] HumanEval, GSM8K and C-Eval, in shares.
struct Accuracy {
  std::string_view model;
  double code, math, qa;
};
constexpr Accuracy kAccuracies[] = {
    {"openpangu-1b", 0.6768, 0.7392, 0.6320},
    {"openpangu-7b", 0.6280, 0.8302, 0.7889},
};

constexpr std::string_view kCoarse = "@4";
constexpr double kCoarseBytes = 0.5625;
// Of what is right in 16 bits, what still is with 4 bits a weight: HumanEval of
// Llama-3.1-8B-Instruct (its model card at RedHatAI, w4a16), GSM8K and C-Eval
// of Qwen-7B-Chat (49.7 of 50.3, 59.2 of 59.7; its README).
constexpr Accuracy kCoarseKept = {"", 0.997, 0.988, 0.992};

constexpr int kColumnsMost = 16384;

PrefillRate RateOf(const Profile& profile, const ModelShape& shape) {
  for (const PrefillRate& rate : profile.prefill) {
    if (rate.model == shape.name) return rate;
  }
  // A multiplication and an addition per parameter; the same, for queries and
  // for values, of half the pairs, since attention is causal.
  const double per_token = 2.0 * static_cast<double>(shape.matrix_params);
  const double per_pair =
      2.0 * static_cast<double>(shape.attention_width) * shape.layers;
  return {shape.name, per_token / profile.matrix_flops,
          per_pair / profile.attention_flops};
}

double StepSeconds(const Profile& p, const ModelShape& shape,
                   const PrefillRate& rate, int columns) {
  double t = std::max(shape.layers * p.host_seconds_per_layer,
                      static_cast<double>(WeightBytes(p, shape)) / p.bandwidth +
                          shape.layers * p.kernel_seconds_per_layer);
  if (columns > 1) t += shape.layers * p.batch_seconds_per_layer;
  if (columns > p.decode_columns_max) {
    t = std::max(t, shape.layers * p.prompt_seconds_per_layer);
  }
  const double n = columns;
  return std::max(t,
                  n * rate.seconds_per_token + n * n * rate.seconds_per_pair);
}

// Close enough that straight lines between them do: each power of two and the
// middle to the next, and both sides of where prompts begin.
std::vector<int> Columns(const Profile& profile) {
  std::vector<int> columns = {profile.decode_columns_max,
                              profile.decode_columns_max + 1, kColumnsMost};
  for (int n = 1; n < kColumnsMost; n *= 2) {
    columns.push_back(n);
    if (n > 1) columns.push_back(n + n / 2);
  }
  std::ranges::sort(columns);
  columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
  return columns;
}

}  // namespace

ModelShape ShapeOf(const Architecture& a) {
  const int64_t hidden = a.hidden;
  const int64_t queries = int64_t{a.heads} * a.head_size;
  const int64_t keys = int64_t{a.kv_heads} * a.head_size;
  ModelShape shape;
  shape.name = a.name;
  shape.layers = a.layers;
  shape.matrix_params =
      a.layers * hidden * (2 * queries + 2 * keys + 3 * int64_t{a.ffn});
  shape.head_params = hidden * a.vocabulary;
  shape.attention_width = queries;
  shape.kv_bytes_per_token = 2 * 2 * keys * a.layers;
  return shape;
}

std::optional<ModelShape> FindShape(std::string_view name) {
  const bool coarse = name.ends_with(kCoarse);
  if (coarse) name.remove_suffix(kCoarse.size());
  for (const Architecture& a : kArchitectures) {
    if (a.name != name) continue;
    ModelShape shape = ShapeOf(a);
    if (coarse) shape.matrix_bytes = kCoarseBytes;
    return shape;
  }
  return std::nullopt;
}

std::vector<std::string_view> ShapeNames() {
  std::vector<std::string_view> names;
  for (const Architecture& a : kArchitectures) names.push_back(a.name);
  return names;
}

const Profile* FindProfile(std::string_view name) {
  const auto found = std::ranges::find(kProfiles, name, &Profile::name);
  return found == std::end(kProfiles) ? nullptr : found;
}

std::vector<std::string_view> ProfileNames() {
  std::vector<std::string_view> names;
  for (const Profile& p : kProfiles) names.push_back(p.name);
  return names;
}

std::optional<core::QualityTable::mapped_type> PublishedQuality(
    std::string_view model) {
  const bool coarse = model.ends_with(kCoarse);
  if (coarse) model.remove_suffix(kCoarse.size());
  const auto found = std::ranges::find(kAccuracies, model, &Accuracy::model);
  if (found == std::end(kAccuracies)) return std::nullopt;
  const Accuracy kept = coarse ? kCoarseKept : Accuracy{"", 1, 1, 1};
  core::QualityTable::mapped_type out;
  const auto set = [&](core::Label label, double value) {
    out[static_cast<size_t>(label)] = core::Quality{.value = value};
  };
  set(core::Label::kCode, found->code * kept.code);
  set(core::Label::kMath, found->math * kept.math);
  set(core::Label::kQa, found->qa * kept.qa);
  return out;
}

int64_t WeightBytes(const Profile& profile, const ModelShape& shape) {
  const double bytes =
      shape.matrix_bytes > 0 ? shape.matrix_bytes : profile.matrix_bytes;
  return static_cast<int64_t>(static_cast<double>(shape.matrix_params) *
                              bytes) +
         2 * shape.head_params;
}

cost::StepCost CostOf(const Profile& profile, const ModelShape& shape) {
  const PrefillRate rate = RateOf(profile, shape);
  cost::StepCost cost;
  cost.table.columns = Columns(profile);
  for (const int n : cost.table.columns) {
    cost.table.seconds.push_back(StepSeconds(profile, shape, rate, n));
  }
  cost.table.kv_seconds_per_context_token =
      static_cast<double>(shape.kv_bytes_per_token) / profile.bandwidth;
  cost.table.prefill_seconds_per_token = rate.seconds_per_token;
  cost.host_seconds = shape.layers * profile.host_seconds_per_layer;
  // A prompt has half of all pairs of its tokens.
  cost.table.pair_seconds = 2 * rate.seconds_per_pair;
  cost.sizes.assign(profile.sizes.begin(), profile.sizes.end());
  return cost;
}

}  // namespace aio::sim
