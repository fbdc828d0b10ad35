// SPDX-License-Identifier: Apache-2.0
//
// What a chat template may use. A template comes with a model file that anyone
// may have written; each limit that is passed ends the rendering with an error
// that names it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace aio::jinja {

struct TemplateLimits {
  // Of the template's text. The longest seen in the wild is 17 kB.
  size_t source_bytes_max = 1 << 20;
  // Of the syntax tree: nested expressions, and terms of one sum.
  int parse_depth_max = 150;
  // Of statements and expressions being evaluated at once, macros included:
  // each takes some hundreds of bytes of the thread's stack.
  int depth_max = 500;
  // Expressions, statements, list items and 32-byte pieces of text handled in
  // one rendering; some seconds' worth. A turn of a chat takes about 200.
  uint64_t steps_max = 20'000'000;
  // Of one string, the prompt itself included.
  size_t string_bytes_max = 16 << 20;
  // Of all values alive in one rendering.
  size_t memory_bytes_max = 256 << 20;
  // Of one range(); the limit that Jinja's sandbox has.
  int64_t range_max = 100'000;
};

}  // namespace aio::jinja
