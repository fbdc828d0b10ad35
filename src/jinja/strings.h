// SPDX-License-Identifier: Apache-2.0
//
// What Python's str methods do, on text with provenance: every byte of a result
// keeps the provenance of the byte it was made from.
//
// Cost: linear in the text and the result.
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/runtime.h"
#include "jinja/value.h"

namespace aio::jinja {

enum class Case : uint8_t { kUpper, kLower, kCapitalize, kTitle, kSwap };
Result<Value> ChangeCase(Runtime& rt, const Text& text, Case to);
// Jinja's `title`: a word begins after white space or one of -({[<.
Result<Value> JinjaTitle(Runtime& rt, const Text& text);

enum class Side : uint8_t { kLeft = 1, kRight = 2, kBoth = 3 };
// Without the characters of `chars` at its ends; white space if there are none.
Result<Value> Strip(Runtime& rt, const Text& text,
                    std::optional<std::string_view> chars, Side side);

// The first `count` occurrences; all if it is negative.
Result<Value> Replace(Runtime& rt, const Text& text, const Text& old_part,
                      const Text& new_part, int64_t count);

// Where pieces of a text begin and end, in bytes.
using Pieces = std::vector<std::pair<size_t, size_t>>;
// How often `part` stands in a text, not overlapping. REQUIRES: not empty.
Result<int64_t> CountOf(Runtime& rt, std::string_view bytes,
                        std::string_view part);
// At most `count` splits (all if negative), counted from the right if so asked.
// Without a separator: at runs of white space, none of them in a piece.
struct Splitting {
  std::optional<std::string_view> separator;
  int64_t count = -1;
  bool from_right = false;
};
Result<Pieces> Split(Runtime& rt, std::string_view bytes, const Splitting& how);
Result<Pieces> SplitLines(Runtime& rt, std::string_view bytes, bool keep_ends);
Result<Value> ListOfPieces(Runtime& rt, const Text& text, const Pieces& pieces);

// Pads each line but the first, blank ones on request; Jinja's `indent`.
struct Indentation {
  Text indent;
  bool first = false;
  bool blank = false;
};
Result<Value> Indent(Runtime& rt, const Text& text, const Indentation& how);

}  // namespace aio::jinja
