// SPDX-License-Identifier: Apache-2.0
//
// Writes a file that exists whole or not at all: the bytes go to a temporary
// file beside it, which is flushed to the disk and then renamed over it. A
// full disk, a crash or an early return leaves what was there before.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace aio {

// Why writing `path` failed, by errno: kNotFound, kDenied or kUnavailable.
Error WriteError(const std::string& path, int error);

class AtomicFile {
 public:
  // kNotFound (no such folder), kDenied, kUnavailable; so do the others.
  static Result<AtomicFile> Create(const std::string& path);

  AtomicFile(AtomicFile&&) noexcept;
  AtomicFile& operator=(AtomicFile&&) noexcept;
  ~AtomicFile();  // removes the temporary file, unless committed

  // Removes what writers of `path` that were killed have left beside it, and
  // nothing of one that still runs, in whichever process or container of this
  // host: the temporary file is locked while it is written.
  static void RemoveLeftovers(const std::string& path);

  Result<void> Append(std::span<const std::byte> bytes);
  // The file is in place, and survives a power cut, once this has returned.
  // Call it once, and nothing after it.
  Result<void> Commit();

 private:
  struct State;
  explicit AtomicFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace aio
