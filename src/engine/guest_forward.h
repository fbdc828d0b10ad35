// SPDX-License-Identifier: Apache-2.0
//
// A model's forward pass as it computes the texts of guests (sched/draft_model
// .h).
//
// Thread safety: none; the engine thread only, while no step of the model is
// under way.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "model/forward.h"
#include "sched/draft_model.h"

namespace aio::engine {

class GuestForward : public sched::GuestSteps {
 public:
  // A sequence's next token by the logits behind `text`, of which the first
  // `said` tokens are no drafts.
  using Pick =
      std::function<int32_t(sched::SequenceId id, std::span<const int32_t> text,
                            size_t said, std::span<const float> logits)>;

  // All must outlive it. `bits`: what its columns read of nested weights.
  GuestForward(model::Forward* forward, const sched::Scheduler* scheduler,
               uint8_t bits, Pick pick)
      : forward_(*forward),
        scheduler_(*scheduler),
        bits_(bits),
        pick_(std::move(pick)) {}

  int columns_max() const override { return forward_.columns_max(); }
  int context_tokens_max() const override {
    return forward_.context_tokens_max();
  }
  void CopyPage(int32_t from, int32_t to) override {
    forward_.CopyPage(from, to);
  }
  std::vector<int32_t> Run(std::span<const Part> parts) override;

 private:
  model::Forward& forward_;
  const sched::Scheduler& scheduler_;
  const uint8_t bits_;
  const Pick pick_;
  std::vector<model::Column> columns_;
};

}  // namespace aio::engine
