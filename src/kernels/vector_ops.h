// SPDX-License-Identifier: Apache-2.0
//
// The small operations between matrix products. An element's result does not
// depend on how a vector is cut into calls, except RmsNorm, which sums over the
// whole of it, and WeighBlocks, which sums over blocks. Pointers need no
// alignment.
//
// Thread safety: pure functions over disjoint outputs.
#pragma once

#include <cstdint>

namespace aio::kernels {

// y[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i]. y may be x.
void RmsNorm(const float* x, const float* weight, int64_t n, float epsilon,
             float* y);

// RmsNorm in two steps, for threads that have a part of x each and do not want
// to wait for its sum before they go on with their part.
//
// y[i] = x[i] * weight[i], and the sum of x^2 of each kBlock numbers, the last
// of which may be less: of block b at squares[b * stride]. y must not be x.
void WeighBlocks(const float* x, const float* weight, int64_t n, float* y,
                 float* squares, int64_t stride);
// factors[c] = 1 / sqrt(mean(x^2) + epsilon) of each column, from the squares
// of its blocks: of column c and block b at squares[b * stride + c]. n: numbers
// of a column.
void NormFactors(const float* squares, int64_t stride, int64_t columns,
                 int64_t n, float epsilon, float* factors);

// y[i] = silu(gate[i]) * up[i], silu(g) = g / (1 + exp(-g)). y may be either.
void SiluGate(const float* gate, const float* up, int64_t n, float* y);

// y[i] += x[i].
void AddTo(const float* x, int64_t n, float* y);

}  // namespace aio::kernels
