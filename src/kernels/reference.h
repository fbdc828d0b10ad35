// SPDX-License-Identifier: Apache-2.0
//
// What the kernels compute, one multiplication at a time in double: the oracle
// of their tests and of the model's. Slow and plain on purpose.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/attention.h"
#include "kernels/rope.h"
#include "tensor/matrix.h"

namespace aio::kernels::reference {

using Vector = std::vector<double>;

// Row `row` as the numbers it stands for.
Vector Row(const WeightMatrix& w, int64_t row);
// w * x, x of w.depth numbers.
Vector MatVec(const WeightMatrix& w, const Vector& x);
// What rounding to int8 codes with an F16 scale per 32 makes of x (the rule of
// ggml's q8_0), as numbers.
Vector RoundToCodes(const Vector& x);
Vector RmsNorm(const Vector& x, const Vector& weight, double epsilon);
double SiluGate(double gate, double up);
// Turns one head in place.
void Rope(const RopeTable& table, int position, double* head);
// What writing x, the keys or values of one position and head, to the cache and
// reading it makes of it. Codes are chosen in float, as the kernels do: one
// near a tie must not fall to another side here.
Vector RoundToKv(KvType type, const Vector& x);
// softmax(scale * q . keys[t]) over all t, then the weighted sum of values. For
// Q8 q is rounded first, to codes with an F16 scale per 32.
Vector Attend(KvType type, const Vector& q, const std::vector<Vector>& keys,
              const std::vector<Vector>& values, double scale);

}  // namespace aio::kernels::reference
