// SPDX-License-Identifier: Apache-2.0
//
// Fits and measures the text probe. tools/train_probe runs it.
//
//   probe_train fit DATA PROMPTS OUT    cross-validates to find the
//   temperature,
//                                       fits on everything, writes OUT
//   probe_train report DATA PROMPTS     prints the tables of docs/probe.md
//   probe_train said DATA PROMPTS OUT   cross-validates; writes what models say
//                                       of prompts they were not trained on,
//                                       for `aio bench probe --text-said`
//   probe_train time MODEL DATA         prints the cost per request
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "probe/said_file.h"
#include "probe/text_probe.h"
#include "tools/probe_report.h"

namespace aio::tools {
namespace {

constexpr int kFolds = 5;

Result<Experiment> Read(const std::string& data, const std::string& prompts) {
  Experiment e;
  ASSIGN_OR_RETURN(e.samples, ReadSamples(data));
  ASSIGN_OR_RETURN(e.templates, ReadTemplates(prompts));
  return e;
}

Result<void> FitAll(const Experiment& e, const std::string& out) {
  std::vector<core::Label> labels;
  for (const Sample& s : e.samples) labels.push_back(s.label);
  const double temperature =
      probe::FitTemperature(CrossValidate(e, kFolds), labels);
  std::vector<const Sample*> train;
  for (const Sample& s : e.samples) train.push_back(&s);
  const std::vector<Sample> written = Fill(e.templates, train);
  for (const Sample& s : written) train.push_back(&s);
  Fitted fitted(train, e.options, temperature);
  fitted.Save(out);
  RETURN_IF_ERROR(probe::TextProbe::Load(out));
  std::printf("%zu prompts, %zu written ones, temperature %.2f: %s\n",
              e.samples.size(), written.size(), temperature, out.c_str());
  return {};
}

Result<void> WriteSaid(const Experiment& e, const std::string& file) {
  const std::vector<probe::Logits> said = CrossValidate(e, kFolds);
  ASSIGN_OR_RETURN(auto out, AtomicFile::Create(file));
  for (size_t i = 0; i < said.size(); ++i) {
    const std::string line = probe::SaidLine(e.samples[i].id, said[i]);
    RETURN_IF_ERROR(out.Append(std::as_bytes(std::span(line))));
  }
  return out.Commit();
}

// The whole of Classify, per prompt; the median and the 99th percentile of all
// prompts, each the fastest of several runs.
Result<void> PrintTime(const std::string& model, const std::string& data) {
  using Clock = std::chrono::steady_clock;
  constexpr int kRuns = 20;
  ASSIGN_OR_RETURN(const auto probe, probe::TextProbe::Load(model));
  ASSIGN_OR_RETURN(const std::vector<Sample> samples, ReadSamples(data));
  std::vector<double> fastest(samples.size(), 1e9);
  double sum = 0;
  for (int run = 0; run < kRuns; ++run) {
    for (size_t i = 0; i < samples.size(); ++i) {
      const auto start = Clock::now();
      sum += probe->ClassifyText(samples[i].text).probabilities[0];
      const std::chrono::duration<double, std::micro> took =
          Clock::now() - start;
      fastest[i] = std::min(fastest[i], took.count());
    }
  }
  std::sort(fastest.begin(), fastest.end());
  double mean = 0;
  for (const double x : fastest) mean += x / fastest.size();
  std::printf(
      "%zu prompts, microseconds each: mean %.1f, median %.1f, 99th "
      "percentile %.1f, most %.1f (check %.6f)\n",
      samples.size(), mean, fastest[fastest.size() / 2],
      fastest[fastest.size() * 99 / 100], fastest.back(), sum / kRuns);
  return {};
}

Result<void> Run(const std::vector<std::string>& args) {
  if (args.size() == 4 && args[0] == "fit") {
    ASSIGN_OR_RETURN(const Experiment e, Read(args[1], args[2]));
    return FitAll(e, args[3]);
  }
  if (args.size() == 3 && args[0] == "report") {
    ASSIGN_OR_RETURN(const Experiment e, Read(args[1], args[2]));
    Report(e, kFolds);
    return {};
  }
  if (args.size() == 4 && args[0] == "said") {
    ASSIGN_OR_RETURN(const Experiment e, Read(args[1], args[2]));
    return WriteSaid(e, args[3]);
  }
  if (args.size() == 3 && args[0] == "time") {
    return PrintTime(args[1], args[2]);
  }
  return Error{ErrorCode::kInvalidArgument,
               "usage: probe_train fit DATA PROMPTS OUT | report DATA PROMPTS "
               "| said DATA PROMPTS OUT | time MODEL DATA",
               ""};
}

}  // namespace
}  // namespace aio::tools

int main(int argc, char** argv) {
  const auto done = aio::tools::Run({argv + 1, argv + argc});
  if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
