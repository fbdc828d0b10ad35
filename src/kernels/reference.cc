// SPDX-License-Identifier: Apache-2.0
#include "kernels/reference.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "tensor/block_formats.h"

namespace aio::kernels::reference {
namespace {

struct Part {
  size_t begin, end;
};

// int8 codes of a part of x that share an F16 scale, as numbers.
void RoundBlock(const Vector& x, Part part, Vector* y) {
  float largest = 0;
  for (size_t i = part.begin; i < part.end; ++i) {
    largest = std::max(largest, std::abs(static_cast<float>(x[i])));
  }
  const float inverse = largest != 0 ? 127 / largest : 0;
  const double scale = F16ToF32(F32ToF16(largest / 127));
  for (size_t i = part.begin; i < part.end; ++i) {
    (*y)[i] = scale * std::nearbyint(static_cast<float>(x[i]) * inverse);
  }
}

}  // namespace

Vector Row(const WeightMatrix& w, int64_t row) {
  std::vector<float> values(static_cast<size_t>(w.depth));
  DecodeRow(w.type, {w.Row(row), static_cast<size_t>(w.row_bytes)}, values);
  return Vector(values.begin(), values.end());
}

Vector MatVec(const WeightMatrix& w, const Vector& x) {
  Vector y(static_cast<size_t>(w.rows));
  for (int64_t r = 0; r < w.rows; ++r) {
    const Vector row = Row(w, r);
    for (size_t k = 0; k < row.size(); ++k) {
      y[static_cast<size_t>(r)] += row[k] * x[k];
    }
  }
  return y;
}

Vector RoundToCodes(const Vector& x) {
  Vector y(x.size());
  for (size_t i = 0; i < x.size(); i += kBlockElements) {
    const size_t end = std::min(x.size(), i + kBlockElements);
    double largest = 0;
    for (size_t k = i; k < end; ++k) largest = std::max(largest, fabs(x[k]));
    const double inverse = largest != 0 ? 127 / largest : 0;
    const double scale = largest / 127;
    for (size_t k = i; k < end; ++k)
      y[k] = scale * std::nearbyint(x[k] * inverse);
  }
  return y;
}

Vector RmsNorm(const Vector& x, const Vector& weight, double epsilon) {
  double squares = 0;
  for (const double v : x) squares += v * v;
  const double scale =
      1 / std::sqrt(squares / static_cast<double>(x.size()) + epsilon);
  Vector y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] * scale * weight[i];
  return y;
}

double SiluGate(double gate, double up) {
  return gate / (1 + std::exp(-gate)) * up;
}

void Rope(const RopeTable& table, int position, double* head) {
  const size_t half = table.frequency.size();
  for (size_t i = 0; i < half; ++i) {
    const bool norm = table.style == RopeStyle::kNorm;
    double& a = head[norm ? 2 * i : i];
    double& b = head[norm ? 2 * i + 1 : i + half];
    const double angle = position * table.frequency[i];
    const double c = std::cos(angle) * table.magnitude;
    const double s = std::sin(angle) * table.magnitude;
    const double turned = a * c - b * s;
    b = a * s + b * c;
    a = turned;
  }
}

Vector RoundToKv(KvType type, const Vector& x) {
  Vector y(x.size());
  if (type == KvType::kQ8) {
    RoundBlock(x, {0, x.size()}, &y);
    return y;
  }
  for (size_t i = 0; i < x.size(); ++i) {
    const auto v = static_cast<float>(x[i]);
    y[i] = type == KvType::kF16 ? F16ToF32(F32ToF16(v)) : v;
  }
  return y;
}

Vector Attend(KvType type, const Vector& query, const std::vector<Vector>& keys,
              const std::vector<Vector>& values, double scale) {
  Vector q = query;
  for (size_t i = 0; type == KvType::kQ8 && i < q.size(); i += kBlockElements) {
    RoundBlock(query, {i, std::min(q.size(), i + kBlockElements)}, &q);
  }
  Vector scores(keys.size());
  double most = -INFINITY;
  for (size_t t = 0; t < keys.size(); ++t) {
    for (size_t i = 0; i < q.size(); ++i) scores[t] += q[i] * keys[t][i];
    scores[t] *= scale;
    most = std::max(most, scores[t]);
  }
  double sum = 0;
  Vector out(q.size());
  for (size_t t = 0; t < keys.size(); ++t) {
    const double weight = std::exp(scores[t] - most);
    sum += weight;
    for (size_t i = 0; i < q.size(); ++i) out[i] += weight * values[t][i];
  }
  for (double& v : out) v /= sum;
  return out;
}

}  // namespace aio::kernels::reference
