// SPDX-License-Identifier: Apache-2.0
//
// A template's text as tokens: literal text, and between {{ }} and {% %} names,
// literals and operators. White space control is resolved here, as Hugging Face
// sets Jinja up: trim_blocks (a line break after a block is dropped),
// lstrip_blocks (so is the white space before a block that begins its line), a
// '-' strips all white space on its side, a '+' keeps it.
//
// Thread safety: a pure function.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace aio::jinja {

struct Token {
  enum class Kind : uint8_t {
    kData,           // text: literal text
    kVariableBegin,  // {{
    kVariableEnd,
    kBlockBegin,  // {%
    kBlockEnd,
    kName,      // text
    kString,    // text: the value, escapes resolved
    kInteger,   // integer
    kFloat,     // number
    kOperator,  // text
    kEnd,       // of the template
  };
  Kind kind;
  int line;
  std::string text = {};
  int64_t integer = 0;
  double number = 0;

  bool Is(Kind k, std::string_view t) const { return kind == k && text == t; }
  bool IsOperator(std::string_view t) const { return Is(Kind::kOperator, t); }
  bool IsName(std::string_view t) const { return Is(Kind::kName, t); }
};

// Ends with a kEnd. kCorrupt naming the line for what is no template.
Result<std::vector<Token>> Tokenize(std::string_view source);

// kCorrupt, "line 3: …".
Error SyntaxError(int line, std::string_view message);

}  // namespace aio::jinja
