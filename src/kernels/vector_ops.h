// SPDX-License-Identifier: Apache-2.0
//
// The small operations between matrix products. An element's result does not
// depend on how a vector is cut into calls, except RmsNorm, which sums over the
// whole of it. Pointers need no alignment.
//
// Thread safety: pure functions over disjoint outputs.
#pragma once

#include <cstdint>

namespace aio::kernels {

// y[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i]. y may be x.
void RmsNorm(const float* x, const float* weight, int64_t n, float epsilon,
             float* y);

// y[i] = silu(gate[i]) * up[i], silu(g) = g / (1 + exp(-g)). y may be either.
void SiluGate(const float* gate, const float* up, int64_t n, float* y);

// y[i] += x[i].
void AddTo(const float* x, int64_t n, float* y);

}  // namespace aio::kernels
