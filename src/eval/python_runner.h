// SPDX-License-Identifier: Apache-2.0
//
// Runs Python programs that nobody has read, as models write them: each in a
// process of its own without network, without the machine's files but for the
// interpreter's (read-only), with limits of time, memory, processes, files and
// output, in an empty folder in memory that goes away with it.
//
// What this is not: a wall against an attacker who knows the kernel's bugs.
// And a program shares its interpreter with its tests, so one that is written
// to deceive can; one that merely exits early cannot.
//
// Thread safety: const after Make; Run may be called from several threads.
// Cost: a Run starts an interpreter, about 20 ms.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "eval/sandbox.h"

namespace aio::eval {

// How one program ended.
struct PythonRun {
  // Reached its last line and left with code 0.
  bool finished = false;
  std::string why;  // if not: one line for people
  // The last 64 KiB of each, with invalid UTF-8 replaced.
  std::string out;
  std::string err;
};

class PythonRunner {
 public:
  struct Options {
    // A path, or a name that is looked up in PATH.
    std::string python = "python3";
    // Past a limit the program is killed or its call fails; either way it is
    // a wrong answer, not an error.
    Limits limits;
    // Tried in this order; the first that a probe finds to isolate is used.
    std::vector<Isolation> ways = {Isolation::kNamespaces,
                                   Isolation::kBubblewrap};
    // Run with limits but without isolation if no way works: the programs can
    // then do all that this user can.
    bool allow_unisolated = false;
  };

  // Runs a probe in each way. kUnsupported, with what to install or allow, if
  // there is no Python or nothing isolates.
  static Result<std::unique_ptr<PythonRunner>> Make(Options options);

  // An error only if no process could be started. The second has limits of its
  // own instead of the options'.
  Result<PythonRun> Run(std::string_view program) const;
  Result<PythonRun> Run(std::string_view program, const Limits& limits) const;

  Isolation isolation() const { return isolation_; }

 private:
  explicit PythonRunner(Options options) : options_(std::move(options)) {}

  Result<void> FindPython();
  Result<void> Probe() const;
  Command MakeCommand(std::string program, const Limits& limits) const;

  Options options_;
  Isolation isolation_ = Isolation::kNone;
  std::string executable_;            // the interpreter itself, no shim
  std::vector<std::string> folders_;  // what it needs to see
};

}  // namespace aio::eval
