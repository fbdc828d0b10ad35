// SPDX-License-Identifier: Apache-2.0
//
// A PCRE2 expression with Unicode classes and limits, so that no expression on
// no text takes more than about a second.
//
// Thread safety: const after Compile; Search may be called from several
// threads.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "base/result.h"

namespace aio::eval {

class Pattern {
 public:
  enum class Found : unsigned char { kYes, kNo, kGaveUp };
  // kYes: where what matched ends, and the first of up to 15 groups that did.
  struct Match {
    Found found = Found::kNo;
    size_t end = 0;
    std::string_view group;
  };

  // kInvalidArgument with the reason and where in the expression it lies.
  static Result<Pattern> Compile(std::string_view expression);
  // Of a constant that is known to compile.
  static Pattern Must(std::string_view expression);

  // The first match that begins at `from` or later; looks behind see the text
  // before it. REQUIRES: text is valid UTF-8.
  Match Search(std::string_view text, size_t from = 0) const;
  // The group of the last match; empty if there is none.
  std::string_view LastGroup(std::string_view text) const;

 private:
  struct Free {
    void operator()(void* code) const;
  };
  explicit Pattern(void* code) : code_(code) {}
  std::unique_ptr<void, Free> code_;  // pcre2_code, whose header stays out
};

}  // namespace aio::eval
