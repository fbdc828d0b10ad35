// SPDX-License-Identifier: Apache-2.0
//
// For tests: an orchestrator with two variants, small and large, on one
// scripted backend, the paper's policy and a text probe that says what the test
// wants.
//
// Thread safety: none.
#pragma once

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "base/manual_executor.h"
#include "orchestrator/orchestrator.h"
#include "orchestrator/scripted_backend.h"
#include "policy/policies.h"

namespace aio::orchestrator {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

inline core::Intent Says(
    core::Label label, double p,
    core::IntentSource source = core::IntentSource::kText) {
  core::Intent intent;
  intent.probabilities.fill((1 - p) / (core::kLabels - 1));
  intent.probabilities[static_cast<size_t>(label)] = p;
  intent.source = source;
  return intent;
}

class OrchestratorTest : public testing::Test {
 protected:
  OrchestratorTest() {
    SetLogLevel(LogLevel::kOff);
    parts_.executor = &executor_;
    parts_.metrics = &metrics_;
    Host("small", backend_, 4096, 100);
    Host("large", backend_, 4096, 700);
    parts_.random_seed = 42;
    parts_.text_probe = [this](const core::Request&) { return text_; };
    parts_.decision_log = [this](std::string line) {
      lines_.push_back(std::move(line));
    };
    options_.probe_deadline = 100ms;
  }

  void Host(const std::string& name, std::shared_ptr<core::Backend> backend,
            int context, int64_t bytes) {
    core::Variant variant;
    variant.name = name;
    variant.backend = std::move(backend);
    variant.context_tokens_max = context;
    variant.bytes_per_token = bytes;
    parts_.variants.push_back(std::move(variant));
  }
  void UseModelProbe() {
    parts_.model_probe_variant = "small";
    parts_.model_probe = [this](auto, auto prepared, Time deadline,
                                ModelProbeDone done) {
      probe_prepared_ = std::move(prepared);
      probe_deadline_ = deadline;
      probes_.push_back(std::move(done));
    };
  }
  void Build() {
    if (!parts_.policy) {
      policy::Options o;
      for (const auto& v : parts_.variants) {
        o.variants.push_back({v.name, v.bytes_per_token});
      }
      parts_.policy = *policy::Make("paper", o);
    }
    orchestrator_.emplace(parts_, options_);
  }
  std::shared_ptr<core::Request> Ask(const std::string& id) {
    auto request = std::make_shared<core::Request>();
    request->id = id;
    request->model = "auto";
    request->messages = {{core::Role::kUser, "one two three"}};
    return request;
  }
  std::shared_ptr<CheckingSink> Handle(std::shared_ptr<core::Request> request) {
    auto sink = std::make_shared<CheckingSink>();
    orchestrator_->Handle(std::move(request), sink);
    executor_.Run();
    return sink;
  }
  Result<Explanation> Route(std::shared_ptr<core::Request> request) {
    std::optional<Result<Explanation>> answer;
    orchestrator_->Route(std::move(request), [&](Result<Explanation> e) {
      EXPECT_FALSE(answer.has_value()) << "explained twice";
      answer = std::move(e);
    });
    executor_.Run();
    CHECK(answer.has_value());
    return *answer;
  }
  bool Exports(const std::string& line) {
    const bool found = metrics_.Export().find(line + "\n") != std::string::npos;
    EXPECT_TRUE(found) << line << " is not in\n" << metrics_.Export();
    return found;
  }
  // The sum of all series of a counter.
  double Total(const std::string& name) {
    std::istringstream in(metrics_.Export());
    double sum = 0;
    for (std::string line; std::getline(in, line);) {
      if (line.rfind(name + "{", 0) == 0) {
        sum += std::stod(line.substr(line.rfind(' ')));
      }
    }
    return sum;
  }

  ManualExecutor executor_;
  Metrics metrics_;
  std::shared_ptr<ScriptedBackend> backend_ =
      std::make_shared<ScriptedBackend>();
  core::Intent text_ = Says(core::Label::kCode, 0.99);
  Parts parts_;
  Options options_;
  std::vector<ModelProbeDone> probes_;
  std::shared_ptr<const core::Prepared> probe_prepared_;
  Time probe_deadline_{};
  std::vector<std::string> lines_;
  std::optional<Orchestrator> orchestrator_;
};

class ProbeTest : public OrchestratorTest {
 protected:
  ProbeTest() {
    UseModelProbe();
    text_ = Says(core::Label::kCode, 0.5);  // leaves doubt
  }
};

}  // namespace aio::orchestrator
