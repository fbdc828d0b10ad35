// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/tokenizer.h"

#include <utility>

#include "base/utf8.h"
#include "tokenizer/bpe.h"
#include "tokenizer/spm.h"
#include "tokenizer/vocabulary.h"

namespace aio::tokenizer {

Result<std::shared_ptr<const Tokenizer>> Tokenizer::Load(
    const gguf::File& file) {
  ASSIGN_OR_RETURN(const std::string model,
                   file.String("tokenizer.ggml.model"));
  if (model != "gpt2" && model != "llama") {
    return Error{ErrorCode::kUnsupported,
                 "unknown tokenizer model \"" + ReplaceInvalidUtf8(model) +
                     "\"; this build has gpt2 and llama",
                 {}};
  }
  ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::Load(file));
  return model == "gpt2" ? BpeTokenizer::Load(std::move(vocabulary), file)
                         : SpmTokenizer::Load(std::move(vocabulary), file);
}

std::vector<int32_t> Tokenizer::Encode(std::string_view text) const {
  return Encode({{std::string(text), false}}, false);
}

}  // namespace aio::tokenizer
