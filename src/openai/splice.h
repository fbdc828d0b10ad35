// SPDX-License-Identifier: Apache-2.0
//
// Changes a few members of a JSON object's text and leaves every other byte as
// it is: numbers keep their digits, keys their order, and what we do not know
// its place.
//
// Thread safety: free functions, no state. Cost: one pass over the text.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace aio::openai {

struct Splice {
  std::string_view key;
  std::string_view value;  // JSON text; empty: the member goes
};

// `object` with each key's value replaced: where it stands, or at the end if it
// stands nowhere. Of a key that occurs twice only the first place is kept.
// Line breaks between members become spaces, so that the text is one line.
// REQUIRES: `object` is the text of a JSON object (ParseJson has read it).
std::string Spliced(std::string_view object, std::span<const Splice> splices);

// The text of the value at `key`, the last one; empty if there is none.
std::string_view ValueText(std::string_view object, std::string_view key);

}  // namespace aio::openai
