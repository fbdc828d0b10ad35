// SPDX-License-Identifier: Apache-2.0
//
// The element types of GGUF tensors: their numbers in the file, names and
// sizes. Facts from the GGUF specification (ggml-org/ggml, docs/gguf.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace aio {

// Values are those of the file format; numbers not listed are unknown.
enum class DType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
};

struct DTypeTraits {
  std::string_view name;
  int block_elements;  // elements that share a block
  int block_bytes;
};

// nullopt for a number this build has no name for.
std::optional<DTypeTraits> TraitsOf(DType type);
// "Q8_0", or "type 99".
std::string NameOf(DType type);

// What this build computes with.
inline constexpr DType kComputableTypes[] = {
    DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ8_0,
    DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
    DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};
bool IsComputable(DType type);

}  // namespace aio
