// SPDX-License-Identifier: Apache-2.0
//
// aio pack FILE --nest -o OUT: one copy of a model's weights that serves 4 bits
// and 8 (docs/nest.md), and what each matrix lost by it.
//
// Thread safety: free functions, no state.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/writer.h"

namespace aio::cli {

struct PackNestFlags {
  std::string input;
  std::string out;
  int threads = 0;  // 0: all
  bool json = false;
};

// kInvalidArgument: a file that cannot be nested, or an output that would
// replace it or what is no file; as NestedFile and Writer.
Result<void> PackNest(const PackNestFlags& flags);

// Renaming a file over a device or a folder would replace it, or fail after all
// the work: kInvalidArgument if it would.
Result<void> CheckReplaceable(const std::string& path);

// Writes it whole or not at all, with a bar; returns its bytes.
Result<int64_t> WriteModel(const gguf::Writer& writer, const std::string& path,
                           ThreadPool* pool);

}  // namespace aio::cli
