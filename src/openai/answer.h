// SPDX-License-Identifier: Apache-2.0
//
// The answers of an OpenAI-compatible server as core types: one chunk of a
// stream, or a whole plain answer, of chat or of completions. Input is a
// remote server's and may be anything.
//
// Thread safety: free functions, no state.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/backend.h"
#include "core/outcome.h"

namespace aio::openai {

struct Answer {
  // One per choice that occurs, in the order received. `raw_json` is the
  // message with that choice alone in it, so that fields we do not know
  // survive; a choice that only carries its finish reason has a delta too, and
  // so has a message without choices that is not about usage.
  std::vector<core::Delta> deltas;
  struct Finish {
    int choice = 0;
    core::FinishReason reason = core::FinishReason::kStop;
  };
  std::vector<Finish> finished;
  std::optional<core::Usage> usage;
  std::string fingerprint;
};

// The usage in the answer to a request for embeddings, whose vectors nobody
// here looks at. Errors are those of ParseAnswer.
Result<core::Usage> ParseEmbeddings(std::string_view message);

// `message` is the data of one server-sent event (not "[DONE]") or the body of
// a plain answer. An {"error": …} object becomes that error; what does not
// follow the format, or names a choice outside 0 .. choices-1, is kCorrupt.
Result<Answer> ParseAnswer(std::string_view message, int choices);

}  // namespace aio::openai
