// SPDX-License-Identifier: Apache-2.0
//
// How far a long command is, on standard error: a bar that is drawn again on a
// terminal, a line every ten seconds elsewhere, and nothing from a command that
// is over within two seconds.
//
// Thread safety: none; used on one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/executor.h"

namespace aio::cli {

class Progress {
 public:
  // `done` of `total` were there before the command began.
  Progress(int done, int total);
  // Takes the bar away.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // One more is done; `note` stands behind the count: "41 right, 2 errors".
  void Step(const std::string& note) { Reach(done_ + 1, note); }
  // So many are done now.
  void Reach(int done, const std::string& note);

 private:
  std::string Line(double seconds, const std::string& note) const;

  const bool terminal_;
  const Time begin_;
  const int before_;
  const int total_;
  int done_;
  double shown_ = 0;  // seconds from the begin
  bool drawn_ = false;
};

// Shows how many of `name`'s bytes are loaded, each time it is told; the bar
// goes once all are.
std::function<void(int64_t done, int64_t total)> ShowLoading(std::string name);

// "45 s", "3:07", "2:03:07".
std::string ClockText(double seconds);

}  // namespace aio::cli
