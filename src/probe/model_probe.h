// SPDX-License-Identifier: Apache-2.0
//
// The model probe: one prefill of a resident variant, whose logits for a few
// single tokens after "Category:" say what a request wants. It only asks and
// calibrates; whether that is worth its price is the policy's to say.
//
// The content-free prior is divided out (Zhao et al., "Calibrate Before Use",
// ICML 2021): a request about nothing is scored once, and what the model says
// of it is what it says anyway. Then
//   p = softmax((logits - logits of the prior) / temperature).
// A model that was trained to answer this very question may need no such
// correction; Options::prior leaves it out.
//
// Labels are configured or chosen: sets of words, then of letters explained in
// the suffix, are tried in turn on the content-free request until the backend
// takes one, i.e. each of its labels is a single token and all are distinct.
//
// Thread safety: any thread. Callbacks run on the caller's thread or on the
// backend's. Asks that arrive before the prior is known wait for it.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/mutex.h"
#include "base/result.h"
#include "core/backend.h"
#include "core/intent.h"

namespace aio::probe {

using LabelTexts = std::array<std::string, core::kLabels>;  // [label]

class ModelProbe : public std::enable_shared_from_this<ModelProbe> {
 public:
  struct Options {
    std::string variant;               // REQUIRED
    std::string suffix = "Category:";  // opens the assistant's turn
    LabelTexts labels;                 // all empty: chosen; else all set
    int tokens_max = 256;              // longer prompts: head and tail
    double temperature = 1;            // > 1: less sure than the model says
    bool prior = true;                 // whether it is divided out
  };
  using Done = std::function<void(Result<core::Intent>)>;

  // kInvalidArgument for labels that are not distinct or only partly set, an
  // empty suffix or a temperature that is not positive; `param` names the key.
  static Result<std::shared_ptr<ModelProbe>> Make(
      std::shared_ptr<core::Backend> backend, Executor* executor,
      Options options);

  // Finds the labels and the prior. Asking does it too; doing it at load tells
  // at load that configured labels are not tokens of the variant.
  void Prepare(Time deadline, std::function<void(Result<void>)> done);

  // kDeadline if the answer comes after `deadline`; the backend's error if it
  // fails.
  void Ask(std::shared_ptr<const core::Request> request,
           std::shared_ptr<const core::Prepared> prepared, Time deadline,
           Done done);

 private:
  // How the labels are asked for.
  struct Form {
    std::string suffix;
    LabelTexts labels;
  };
  struct Known {
    Form form;
    std::vector<float> prior;  // [label], logits
  };
  using Ready = std::function<void(Result<Known>)>;

  ModelProbe(std::shared_ptr<core::Backend> backend, Executor* executor,
             Options options);
  void WithPrior(Time deadline, Ready ready);
  void TryForm(size_t form, Time deadline);
  void Settle(Result<Known> known);
  core::ScoreRequest ScoreOf(
      const Form& form, std::shared_ptr<const core::Request> request) const;
  Result<core::Intent> Calibrate(const Known& known,
                                 const core::Scores& scores) const;

  const std::shared_ptr<core::Backend> backend_;
  Executor* const executor_;
  const Options options_;
  std::vector<Form> forms_;  // to try, in order

  Mutex mutex_;
  bool trying_ GUARDED_BY(mutex_) = false;
  std::shared_ptr<const Known> known_ GUARDED_BY(mutex_);
  std::vector<Ready> waiting_ GUARDED_BY(mutex_);
  uint64_t tries_ GUARDED_BY(mutex_) = 0;
};

}  // namespace aio::probe
