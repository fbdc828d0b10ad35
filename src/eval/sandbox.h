// SPDX-License-Identifier: Apache-2.0
//
// One child process, isolated and limited, from start to end.
//
// kNamespaces makes user, network, process, mount, IPC and host name
// namespaces itself (Linux 5.12 or newer): no interface is up, no other
// process is in sight, and the file system holds `folders`, read-only, a few
// devices and an empty /tmp in memory, where the program starts. Run by root,
// the program is the user nobody. kBubblewrap has the same from `bwrap`, for
// machines that let only that program make namespaces. kNone has the limits
// alone, and the program can leave those it starts behind.
//
// Thread safety: free functions. A process with threads may call them: between
// its start and exec the child makes system calls only.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"

namespace aio::eval {

enum class Isolation : uint8_t { kNamespaces, kBubblewrap, kNone };
// "namespaces", "bubblewrap", "none".
std::string_view Name(Isolation isolation);

struct Limits {
  // By the wall clock, and the same of processor time.
  Duration time_max = std::chrono::seconds(10);
  // Of address space, per process.
  int64_t memory_bytes_max = int64_t{512} << 20;
  // Processes and threads at once. Not limited without isolation, since the
  // kernel would count all that the user runs, nor where root uses bubblewrap.
  int processes_max = 16;
  // Per file, and for all files together where /tmp is in memory.
  int64_t file_bytes_max = int64_t{64} << 20;
  // Per stream; past it the program is killed.
  int64_t output_bytes_max = int64_t{4} << 20;
};

struct Command {
  Isolation isolation = Isolation::kNone;
  std::vector<std::string> argv;     // argv[0]: an absolute path
  std::string input;                 // its standard input
  std::vector<std::string> folders;  // absolute; what it may read
  bool keep_environment = false;     // else a fixed, small one
};

enum class End : uint8_t { kExited, kSignal, kTimedOut, kOutputTooLong };

struct Finished {
  End end = End::kExited;
  int code = 0;  // exit code or signal
  // What was written to descriptors 1 and 2 (the last 64 KiB) and 3 (the
  // first 256 bytes).
  std::string out;
  std::string err;
  std::string note;
};

// Returns once the process is gone, and all that it started: with kNamespaces
// before, with kBubblewrap at the latest a moment later, with kNone unless it
// left the process's session.
// kUnsupported if this way of isolation is not to be had here, kUnavailable if
// no process could be started.
// A folder is removed in which a program without isolation started.
Result<Finished> RunCommand(const Command& command, const Limits& limits);

// The absolute path of a program that PATH has, or of `name` itself if it has
// a slash; empty if none can be run.
std::string FindProgram(const std::string& name);

}  // namespace aio::eval
