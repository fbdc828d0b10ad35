// SPDX-License-Identifier: Apache-2.0
//
// Rotary position embedding: pairs of a head's numbers turned by an angle that
// is proportional to the position. Angles are computed in double once per
// column and step and shared by all layers and heads.
//
// Thread safety: pure functions over disjoint outputs.
// Sources: RoFormer (arXiv 2104.09864); YaRN (arXiv 2309.00071); the parameters
// as llama.cpp reads them from GGUF.
#pragma once

#include <cstdint>
#include <vector>

namespace aio::kernels {

// Which numbers are a pair: kNorm i and i+1 (llama), kNeox i and i + dim/2.
enum class RopeStyle : uint8_t { kNorm, kNeox };
enum class RopeScaling : uint8_t { kNone, kLinear, kYarn };

struct RopeParameters {
  RopeStyle style = RopeStyle::kNorm;
  RopeScaling scaling = RopeScaling::kNone;
  int dim = 0;  // even
  double base = 10000;
  double factor = 1;            // how much longer the context is than trained
  int context_original = 0;     // yarn only: the trained context
  double extension = 1;         // yarn: share of the ramp that is extrapolated
  double attention_factor = 1;  // scales q and k
  double beta_fast = 32;
  double beta_slow = 1;
  // rope_freqs.weight: divides the frequency of each pair; empty: all 1.
  std::vector<float> frequency_divisors;
};

// Radians per position and the magnitude of each pair: what the parameters come
// to, [dim / 2].
struct RopeTable {
  RopeStyle style = RopeStyle::kNorm;
  std::vector<double> frequency;
  double magnitude = 1;

  int dim() const { return static_cast<int>(frequency.size()) * 2; }
};
RopeTable MakeRopeTable(const RopeParameters& parameters);

// cos and sin of one position, [dim / 2] each, times the magnitude.
void RopeAngles(const RopeTable& table, int position, float* cos, float* sin);

// Turns `heads` heads of [dim] in place.
void ApplyRope(RopeStyle style, int dim, int heads, const float* cos,
               const float* sin, float* x);

}  // namespace aio::kernels
