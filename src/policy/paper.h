// SPDX-License-Identifier: Apache-2.0
//
// The routing rule of "A-IO: Adaptive Inference Orchestration for Memory-Bound
// NPUs" (arXiv 2604.09752): code, with a context of at most 2K tokens and an
// intent of entropy <= 0.45, goes to the small variant; everything else to the
// large one, decode strategies off. The threshold belongs to the paper's three
// labels, so intents are projected to code / math / other first. Context is
// what the request is expected to need: prompt and answer.
//
// The paper probes every request with the model. Here the text probe speaks
// first, and the model is asked only where it could change the choice: both
// variants can serve, the context is short, and the text leaves doubt.
//
// Thread safety: const and stateless.
#pragma once

#include <array>
#include <string>
#include <utility>

#include "core/intent.h"
#include "policy/policy.h"

namespace aio::policy {

// Code, math and everything else, of an intent over all labels.
std::array<double, 3> ProjectToThree(const core::Intent& intent);

class PaperPolicy : public Policy {
 public:
  struct Options {
    std::string small;
    std::string large;
    double entropy_max = 0.45;  // nats
    int context_tokens_max = 2048;
  };
  explicit PaperPolicy(Options options) : options_(std::move(options)) {}
  std::string_view name() const override { return "paper"; }
  Decision Decide(const Input& input) const override;

 private:
  Decision Route(const Input& input) const;
  Decision ByIntent(const Input& input, int small, int large) const;

  const Options options_;
};

}  // namespace aio::policy
