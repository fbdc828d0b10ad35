// SPDX-License-Identifier: Apache-2.0
//
// A model's tensors under the names of its arithmetic: matrices as views into
// the mapped file, and into tiles once they are packed (pack_weights.h);
// vectors (norms, biases) as floats. Each is checked against the config; a
// tensor of the file that has no place here is refused by name.
//
// Thread safety: const after LoadWeights.
// Source of the names: ggml-org/llama.cpp, src/llama-arch.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/gguf.h"
#include "model/config.h"
#include "tensor/matrix.h"
#include "tensor/tiles.h"

namespace aio::model {

// y = matrix * x + bias.
struct Linear {
  std::string name;         // of the matrix's tensor
  WeightMatrix matrix;      // in the file
  TiledMatrix tiles;        // what the kernels read
  std::vector<float> bias;  // [rows], or empty
};

struct LayerWeights {
  std::vector<float> attention_norm;  // [hidden]
  Linear q, k, v;                     // hidden -> heads * head_dim
  std::vector<float> q_norm, k_norm;  // [head_dim], or empty
  Linear o;                           // heads * head_dim -> hidden
  std::vector<float> ffn_norm;        // [hidden]
  Linear gate, up;                    // hidden -> feed_forward
  Linear down;                        // feed_forward -> hidden
};

struct Weights {
  gguf::File file;         // keeps the mapping alive
  WeightMatrix embedding;  // [vocabulary, hidden]
  std::vector<LayerWeights> layers;
  std::vector<float> output_norm;
  Linear output;  // hidden -> vocabulary; may be the embedding itself
  std::vector<float> rope_divisors;  // [head_dim / 2], or empty
  bool nested = false;               // some matrix is

  // What a step reads whatever its width: the tiles and vectors of all but the
  // embedding's rows. Without plane fine if all its columns take 4 bits.
  int64_t step_bytes(bool fine = true) const;
};

// Of a file whose matrices are nested (docs/nest.md), as a U32: kNestVersion.
inline constexpr char kNestKey[] = "aio.nest.version";
inline constexpr uint32_t kNestVersion = 1;
// Whether packing has still to choose between kK and k8.
inline bool KindIsOpen(const WeightMatrix& m) {
  return m.nest == Nest::kK && m.type != DType::kQ4_K;
}
// The tensor of the residuals is named like that of the matrix, with this.
inline constexpr char kNestSuffix[] = ".nest";

// kUnsupported: a tensor's type that the kernels cannot read, or a tensor that
// the family does not have here, by name. kCorrupt: one is missing, has another
// shape, or is a vector with a number that is not finite (of matrices,
// PackWeights finds those). With `nest`, matrices of a file that is not nested
// are to become so as NestFor says; then PackWeights may choose k8 instead.
Result<Weights> LoadWeights(const gguf::File& file, const ModelConfig& config,
                            bool nest = false);

}  // namespace aio::model
