// SPDX-License-Identifier: Apache-2.0
//
// Devices that are not here: a named accelerator with a serving stack, as few
// numbers, and what a model of a given shape takes there. `h200` was measured
// by this project, with PyTorch's kernels and no serving stack
// (bench/gpu/step_times.py); the others are from public measurements. None is
// calibrated, and reports print what they assume. What the numbers reproduce:
// profiles_test.cc.
//
// A step of one column takes the longer of launching it and of the device's
// part, which is reading the weights and what the kernels take beside; with
// more columns, the longer of that and the arithmetic:
//
//   t(1) = max(layers * host, weight bytes / bandwidth + layers * kernels)
//   t(N) = max(t(1) + layers * batch, A * N + B * N^2)
//   t(N) >= layers * prompt  where N can only be a prompt
//
// Thread safety: constants and pure functions.
// See docs/simulator.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/quality.h"
#include "cost/step_cost.h"

namespace aio::sim {

// What of a model costs time. Norms and biases, under 0.05 % of the
// parameters, are left out.
struct ModelShape {
  std::string_view name;
  int layers = 0;
  int64_t matrix_params = 0;       // of the layers' matrices
  int64_t head_params = 0;         // of the matrix that makes logits
  int64_t attention_width = 0;     // query heads * their size
  int64_t kv_bytes_per_token = 0;  // in 16 bits
  double matrix_bytes = 0;         // of one of matrix_params; 0: the profile's

  int64_t weight_bytes() const { return 2 * (matrix_params + head_params); }
};

// The numbers of a config.json of the Llama family.
struct Architecture {
  std::string_view name;
  int layers, hidden, ffn, heads, kv_heads, head_size, vocabulary;
};
ModelShape ShapeOf(const Architecture& architecture);

// openpangu-1b, openpangu-7b and a few others; "openpangu-7b@4": with 4 bits a
// weight of the layers' matrices and a scale for each 32 of them, read as fast
// as 16 bits are, arithmetic as in 16 bits.
std::optional<ModelShape> FindShape(std::string_view name);
std::vector<std::string_view> ShapeNames();

// A prompt of N tokens: N * per_token + N * N * per_pair.
struct PrefillRate {
  std::string_view model;  // a shape's name
  double seconds_per_token = 0;
  double seconds_per_pair = 0;
};

struct Profile {
  std::string_view name;    // ascend-910b/vllm-graph
  double bandwidth = 0;     // bytes/s, of weights and of KV, as achieved
  double matrix_bytes = 2;  // of one of ModelShape::matrix_params
  // A layer's launches, whatever is in the step.
  double host_seconds_per_layer = 0;
  // What a layer's kernels take on the device beside reading the weights: to
  // start and end, and where they read none. 0 where the host is the longer.
  double kernel_seconds_per_layer = 0;
  // A layer's share of what two or more columns take longer than one.
  double batch_seconds_per_layer = 0;
  // Wider steps hold a prompt, and are launched in the slower way of prompts.
  int decode_columns_max = 64;
  double prompt_seconds_per_layer = 0;
  // Operations/s as achieved, for models without a rate of their own below.
  double matrix_flops = 0;
  double attention_flops = 0;
  std::span<const PrefillRate> prefill;
  std::span<const int> sizes;  // StepCost::sizes
  // How the stack is usually started; for sched::Options.
  int sequences_max = 1;
  int columns_max = 0;
  // What a cold model's first step takes longer; for SimModel.
  double first_step_seconds = 0;
  std::string_view assumptions;  // what has no source, for reports
};

// nullptr if there is none.
const Profile* FindProfile(std::string_view name);
std::vector<std::string_view> ProfileNames();

// How often a model is right by intent, as somebody has published it; at 4 bits
// as much less as others' models of such sizes.
std::optional<core::QualityTable::mapped_type> PublishedQuality(
    std::string_view model);

// What a step of one column reads.
int64_t WeightBytes(const Profile& profile, const ModelShape& shape);
// The table goes to 16,384 columns in one step, the longest prompt of which a
// measurement is known. It has the host floor in it, as a measured one would.
cost::StepCost CostOf(const Profile& profile, const ModelShape& shape);

}  // namespace aio::sim
