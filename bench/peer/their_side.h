// SPDX-License-Identifier: Apache-2.0
//
// llama.cpp as a child process that answers jobs, one line of JSON each way
// (their_side.mjs).
//
// Thread safety: none.
#pragma once

#include <sys/types.h>

#include <boost/json/object.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace aio::peer {

class TheirSide {
 public:
  // `command` is a program and its arguments. kUnavailable if it does not
  // start; what it says of itself comes by Ask.
  static Result<std::unique_ptr<TheirSide>> Start(
      const std::vector<std::string>& command);
  // Ends the child and waits for it.
  ~TheirSide();
  TheirSide(const TheirSide&) = delete;
  TheirSide& operator=(const TheirSide&) = delete;

  // kUnavailable: it is gone, or its answer is an error.
  Result<boost::json::object> Ask(const boost::json::object& job);
  // Seconds of CPU it has used so far; 0 if the kernel does not say.
  double CpuSeconds() const;

 private:
  TheirSide(pid_t pid, FILE* to, FILE* from)
      : pid_(pid), to_(to), from_(from) {}

  const pid_t pid_;
  FILE* const to_;
  FILE* const from_;
};

}  // namespace aio::peer
