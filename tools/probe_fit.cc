// SPDX-License-Identifier: Apache-2.0
#include "tools/probe_fit.h"

#include <fasttext/fasttext.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

#include "base/random.h"
#include "probe/fasttext_args.h"

namespace aio::tools {
namespace {

// How often each sample stands in the training file: its weight, rounded up or
// down by a fixed draw.
std::vector<const Sample*> Weighted(const std::vector<const Sample*>& samples,
                                    const FitOptions& options) {
  std::map<std::pair<core::Label, std::string>, int> count;
  for (const Sample* s : samples) ++count[{s->label, s->source}];
  std::vector<double> weight;
  double total = 0;
  for (const Sample* s : samples) {
    const int n = count[{s->label, s->source}];
    weight.push_back(
        std::pow(n, options.source_power - 1) *
        (probe::IsNatural(s->source) ? options.natural_weight : 1));
    total += weight.back();
  }
  std::vector<std::pair<uint64_t, const Sample*>> order;
  for (size_t i = 0; i < samples.size(); ++i) {
    const double copies = options.copies * weight[i] * samples.size() / total;
    const int n = static_cast<int>(copies) +
                  (RandomUnit(1, i, 0) < copies - std::floor(copies) ? 1 : 0);
    for (int k = 0; k < std::max(1, n); ++k) {
      order.emplace_back(RandomBits(2, i, k), samples[i]);
    }
  }
  std::sort(order.begin(), order.end());
  std::vector<const Sample*> out;
  for (const auto& [key, s] : order) out.push_back(s);
  return out;
}

// `line` with a part of its tokens left out: from none to twice the mean part.
std::string Dropped(const std::string& line, double dropout, uint64_t seed) {
  const double part = 2 * dropout * RandomUnit(4, seed, 0);
  std::istringstream in(line);
  std::string out;
  uint64_t at = 0;
  for (std::string token; in >> token;) {
    if (RandomUnit(5, seed, ++at) >= part) out += token + " ";
  }
  return out;
}

}  // namespace

Fitted::Fitted(const std::vector<const Sample*>& samples,
               const FitOptions& options, double temperature)
    : model_(std::make_unique<fasttext::FastText>()) {
  const std::string file = "/tmp/probe_fit." + std::to_string(getpid());
  std::ofstream out(file);
  uint64_t draw = 0;
  for (const Sample* s : Weighted(samples, options)) {
    out << probe::kLabelPrefix << core::Name(s->label) << ' '
        << Dropped(s->line, options.dropout, ++draw) << '\n';
  }
  out.close();
  const fasttext::Args args =
      probe::FastTextArgs(file, options.dim, options.epochs, options.rate);
  model_->train(args);
  // Dividing the last layer by the temperature divides the logits by it: the
  // model is calibrated without a second file.
  auto input =
      std::make_shared<fasttext::DenseMatrix>(*model_->getInputMatrix());
  auto output =
      std::make_shared<fasttext::DenseMatrix>(*model_->getOutputMatrix());
  for (int64_t i = 0; i < output->size(0); ++i) {
    for (int64_t j = 0; j < output->size(1); ++j) {
      output->at(i, j) /= static_cast<float>(temperature);
    }
  }
  model_->setMatrices(input, output);
  fasttext::Args quantized = args;
  quantized.cutoff = options.features;
  quantized.dsub = 2;
  quantized.qnorm = true;
  quantized.qout = false;
  quantized.retrain = false;
  model_->quantize(quantized);
  std::remove(file.c_str());
}

Fitted::~Fitted() = default;

probe::Logits Fitted::Predict(const std::string& line) const {
  std::istringstream in(line + "\n");
  std::vector<std::pair<float, std::string>> found;
  model_->predictLine(in, found, core::kLabels, 0);
  probe::Logits logits;
  logits.fill(-20);
  for (const auto& [p, name] : found) {
    const auto label =
        core::LabelNamed(name.substr(std::string(probe::kLabelPrefix).size()));
    if (label) logits[static_cast<size_t>(*label)] = std::log(p + 1e-9);
  }
  return logits;
}

void Fitted::Save(const std::string& file) { model_->saveModel(file); }

}  // namespace aio::tools
