// SPDX-License-Identifier: Apache-2.0
//
// The sizes of models that people run, for files that have their shape and cost
// and not their weights.
//
// Thread safety: pure functions.
#pragma once

#include <vector>

#include "model/random_model.h"

namespace aio::model {

// By size within a family; `name` is the name of the model.
std::vector<RandomModel> KnownShapes();

// Adds a tokenizer of `vocabulary` tokens that the file's maker invented:
// SentencePiece with a token for every byte, then printable ASCII, then words
// of two, three and four small letters. It encodes and decodes any text; there
// is no chat template. REQUIRES: kVocabularyMin <= vocabulary <=
// kVocabularyMax.
inline constexpr int kVocabularyMin = 512;
inline constexpr int kVocabularyMax = 400000;
void AddSyntheticTokenizer(int vocabulary, gguf::Writer* writer);

}  // namespace aio::model
