// SPDX-License-Identifier: Apache-2.0
//
// Checks a fastText model file before the library reads it: fastText trusts
// every number in the file, so a truncated or hostile one would read and write
// outside its memory. The layout (version 12) is that of fastText's own
// Args, Dictionary, DenseMatrix, QuantMatrix and ProductQuantizer::load.
//
// Thread safety: a pure function.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"

namespace aio::probe {

inline constexpr size_t kModelBytesMax = 256 << 20;
inline constexpr size_t kModelHeaderBytes = 8;  // magic and version

// What an intent is called in the file: "__label__code".
inline constexpr std::string_view kLabelPrefix = "__label__";

// kCorrupt with what is wrong, unless `bytes` is a supervised softmax model
// whose labels are exactly the intents.
Result<void> CheckModelFile(std::string_view bytes);

}  // namespace aio::probe
