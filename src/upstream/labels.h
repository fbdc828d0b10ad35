// SPDX-License-Identifier: Apache-2.0
//
// What an upstream's 20 most probable tokens say about a set of labels.
//
// Thread safety: a free function, no state.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "core/backend.h"

namespace aio::upstream {

// One logit per label, up to a common constant. Spaces around a label and a
// token do not count, since a remote tokenizer may join them to the word: the
// probabilities of all tokens that read as the label add up. A label that is
// not among the tokens gets the most it can have: the least probability shown,
// or all that is left if that is less. kUnsupported if no label was among
// them: such scores would say nothing.
Result<std::vector<float>> LabelLogits(const core::TokenLogprob& token,
                                       const std::vector<std::string>& labels);

}  // namespace aio::upstream
