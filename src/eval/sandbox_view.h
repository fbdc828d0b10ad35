// SPDX-License-Identifier: Apache-2.0
//
// The file system that an isolated program sees: the system's libraries and
// the folders that it was given, as they are and read-only; some devices; an
// empty /tmp. Nothing else: no home, no configuration, no /proc.
//
// Thread safety: const after construction.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "eval/sandbox.h"
#include "eval/sandbox_child.h"

namespace aio::eval {

// The view as the child carries it out, and the strings that it points to.
class NamespaceView {
 public:
  explicit NamespaceView(const std::vector<std::string>& folders);
  NamespaceView(const NamespaceView&) = delete;

  std::span<const ViewEntry> entries() const { return entries_; }

 private:
  struct Shown {
    ViewEntry::Kind kind;
    std::string source, target;
    bool read_only = true;
  };

  void AddParents(const std::filesystem::path& path);

  std::vector<Shown> shown_;
  std::vector<ViewEntry> entries_;
};

// The command line with which `bwrap` gives `command` the same view.
std::vector<std::string> BubblewrapArguments(const Command& command,
                                             const Limits& limits);

}  // namespace aio::eval
