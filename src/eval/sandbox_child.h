// SPDX-License-Identifier: Apache-2.0
//
// The child's side of sandbox.h: what runs between its start and exec. The
// parent may have had many threads, so this code makes system calls only: it
// takes no memory, no lock, and nothing from the C library that might. All
// that it needs is worked out before the start.
//
// Thread safety: runs in a process of one thread.
#pragma once

#include <sys/resource.h>

#include <array>
#include <span>

namespace aio::eval {

// The user and group that programs run as, inside; outside as well if root
// starts them.
inline constexpr unsigned kNobody = 65534;

// One entry of the file system that the program sees. Targets are absolute;
// their folders stand earlier in the list. Sources begin with kOldRoot.
struct ViewEntry {
  enum class Kind : unsigned char { kFolder, kLink, kBindFolder, kBindFile };
  Kind kind;
  const char* source;  // kLink: what it points to; unused for kFolder
  const char* target;
  bool read_only;
};
inline constexpr const char* kOldRoot = "/.old";

struct ResourceLimit {
  int resource;
  rlim_t value;
};

// What the child says on its status pipe, at most once before exec fails or
// after the program has ended.
struct ChildStatus {
  enum class Kind : int { kFailed, kEnded };
  Kind kind;
  int step;   // kFailed: a Step
  int value;  // kFailed: errno; kEnded: the status as wait() has it
};

enum class Step : int {
  kStart,
  kPrivateMounts,
  kNewRoot,
  kPivot,
  kView,
  kTmp,
  kOldRootGone,
  kDropRights,
  kFork,
  kDescriptors,
  kLimits,
  kFolder,
  kExec,
};
const char* Name(Step step);

struct ChildPlan {
  bool namespaces = false;
  const char* folder = "/tmp";  // where it starts
  char* const* argv = nullptr;
  char* const* environment = nullptr;
  std::span<const ViewEntry> view;
  const char* tmp_options = "";  // of the tmpfs on /tmp
  std::span<const ResourceLimit> limits;
  // [0..3]: become the descriptors 0..3; all here are 10 or higher.
  std::array<int, 4> descriptors{};
  int status = -1;  // to write ChildStatus
  int go = -1;      // namespaces: a byte comes once the ids are mapped
};

[[noreturn]] void RunChild(const ChildPlan& plan);

}  // namespace aio::eval
