// SPDX-License-Identifier: Apache-2.0
//
// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above
// U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace aio {

// One decoded character. size is 0 at the end of the text, else the bytes it
// took; an invalid byte decodes as U+FFFD with size 1 and valid = false.
struct CodePoint {
  char32_t value;
  uint8_t size;
  bool valid;
};
CodePoint DecodeUtf8(std::string_view text, size_t at);

void AppendUtf8(char32_t value, std::string* out);

bool IsValidUtf8(std::string_view text);

// How many bytes at the end of `text` begin a character that more bytes could
// still complete: 0..3. A stream holds these back.
size_t IncompleteUtf8Tail(std::string_view text);

// `text` with every invalid byte replaced by U+FFFD.
std::string ReplaceInvalidUtf8(std::string_view text);

}  // namespace aio
