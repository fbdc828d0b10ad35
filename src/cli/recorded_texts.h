// SPDX-License-Identifier: Apache-2.0
//
// Texts that somebody has answered (bench/spec/make_texts.py), in a model's
// tokens: what speculation is measured and simulated on.
//
// Thread safety: free functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "tokenizer/tokenizer.h"

namespace aio::cli {

struct RecordedText {
  std::string kind;
  std::vector<int32_t> prompt, output;
};

// Of a file with a line {"kind", "prompt", "output"} each, those that say
// something in a context of so many tokens. Errors name `field`;
// kInvalidArgument names the line, or says that none fits.
struct RecordedTextOptions {
  int output_max = 1 << 20;  // longer ones are cut
  int context_max = 1 << 20;
  std::string field;
};
Result<std::vector<RecordedText>> ReadRecordedTexts(
    const std::string& path, const tokenizer::Tokenizer& tokenizer,
    const RecordedTextOptions& options);

}  // namespace aio::cli
