// SPDX-License-Identifier: Apache-2.0
//
// What SimBackend holds of its models and requests; for its own files only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/sim_backend.h"

namespace aio::sim {

// Of a probe, behind the prompt; the text is nobody's.
inline constexpr int kSuffixTokens = 4;

// A request to answer (`sink` is set) or to score.
struct SimBackend::Request {
  std::string id;
  std::shared_ptr<const core::Request> request;
  const SimRequest* sim = nullptr;  // the same
  core::Plan plan;
  std::shared_ptr<core::Sink> sink;
  Model* model = nullptr;
  size_t view = 0;
  sched::SequenceId sequence = 0;
  bool entered = false;  // the scheduler has it
  Time entered_at{};
  int length = 0;    // of the answer
  bool cut = false;  // it would have been longer
  int said = 0;
  core::Usage usage;
  std::vector<std::string> labels;
  int score_tokens = 0;
  bool whole = true;  // the prompt, not an excerpt of it
  ScoreDone scored;

  int32_t Next() const { return sim->TokenAt(sim->prompt_length + said); }
};

struct SimBackend::Model {
  SimModel model;
  int number = 0;
  std::vector<core::View> views;              // [view]
  std::vector<Work> work;                     // [view]
  std::vector<std::vector<double>> queueing;  // [view] seconds
  std::vector<uint64_t> admissions;           // [view]
  std::unique_ptr<sched::Scheduler> scheduler;
  std::unique_ptr<Guests> guests;
  std::unique_ptr<sched::DraftModel> draft_model;
  core::View draft_salt = core::View::k8;
  std::unique_ptr<sched::Speculation> speculation;
  double first_step_seconds = 0;
  // The step under way.
  bool stepping = false;
  sched::StepPlan plan;
  std::vector<sched::Part> parts;
  Duration left{}, turn{};   // turns of so long
  double guest_seconds = 0;  // of a draft model, for this step
};

// Steps of a draft model: time, and a guess that is right as often as asked.
class SimBackend::Guests : public sched::GuestSteps {
 public:
  Guests(SimBackend* owner, Model* of, Model* draft, bool coarse)
      : owner_(*owner), of_(*of), draft_(*draft), coarse_(coarse) {}

  int columns_max() const override { return draft_.model.sched.columns_max; }
  int context_tokens_max() const override {
    return draft_.model.context_tokens_max;
  }
  void CopyPage(int32_t, int32_t) override {}
  std::vector<int32_t> Run(std::span<const Part> parts) override;

 private:
  SimBackend& owner_;
  Model& of_;
  Model& draft_;
  const bool coarse_;
};

}  // namespace aio::sim
