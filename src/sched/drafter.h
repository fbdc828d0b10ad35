// SPDX-License-Identifier: Apache-2.0
//
// Who proposes what a sequence may say next. A proposal can be anything: the
// request's own sampler decides (docs/speculation.md).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace aio::sched {

struct Draft {
  int bucket = 0;  // of cost::Acceptance: what such drafts are worth
  std::vector<int32_t> tokens;  // may be none
  size_t made = 0;  // of a draft model: of `tokens`, those it has come to say
};

// One per sequence.
class Drafter {
 public:
  virtual ~Drafter() = default;
  // At most `most` tokens for the end of `tokens`, which have only grown since
  // the last call.
  virtual Draft Propose(std::span<const int32_t> tokens, int most) = 0;
};
using MakeDrafter = std::function<std::unique_ptr<Drafter>()>;

}  // namespace aio::sched
