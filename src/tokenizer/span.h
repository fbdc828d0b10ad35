// SPDX-License-Identifier: Apache-2.0
//
// A piece of a prompt with its provenance. Special tokens are recognised only
// in pieces the chat template itself wrote, so that a user who types
// "<|im_end|>" gets text, not control.
#pragma once

#include <string>
#include <vector>

namespace aio::tokenizer {

struct Span {
  std::string text;      // UTF-8
  bool trusted = false;  // written by the template: special tokens count
};

using Spans = std::vector<Span>;

}  // namespace aio::tokenizer
