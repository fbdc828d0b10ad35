// SPDX-License-Identifier: Apache-2.0
//
// Split models: one model in files NAME-00001-of-00003.gguf and so on, each a
// GGUF file of its own. The first has the metadata; all have split.no (from
// 0), split.count and split.tensors.count.
// Source: ggml-org/llama.cpp, tools/gguf-split.
//
// Thread safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gguf/parse.h"

namespace aio::gguf {

struct SplitName {
  std::string prefix;  // the path up to "-00001-of-00003.gguf"
  int index;           // from 0
  int count;

  std::string PathOf(int part) const;
};

// nullopt if the path does not end in -NNNNN-of-NNNNN.gguf with a number
// between 1 and the count.
std::optional<SplitName> ParseSplitName(std::string_view path);

// split.count, 1 if absent; kCorrupt if it is not a positive integer.
Result<int64_t> SplitCount(const Part& part);

// kCorrupt unless the part says that it is number `index` of `count`.
Result<void> CheckSplit(const Part& part, int index, int count);

// kCorrupt unless `first` says that all parts together have `tensors` tensors.
Result<void> CheckSplitTensors(const Part& first, size_t tensors);

}  // namespace aio::gguf
