// SPDX-License-Identifier: Apache-2.0
#include "probe/text_probe.h"

#include <fasttext/fasttext.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <exception>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "base/random.h"
#include "probe/model_file.h"
#include "probe/normalize.h"

namespace aio::probe {

TextProbe::TextProbe() : model_(std::make_unique<fasttext::FastText>()) {}
TextProbe::~TextProbe() = default;

Result<std::shared_ptr<const TextProbe>> TextProbe::Load(
    const std::string& file) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  const std::streamoff size = in ? static_cast<std::streamoff>(in.tellg()) : -1;
  if (size < 0) {
    return Error{ErrorCode::kNotFound, "cannot read " + file, "probe.text"};
  }
  if (static_cast<size_t>(size) > kModelBytesMax) {
    return Error{ErrorCode::kCorrupt, file + ": it is too large", "probe.text"};
  }
  std::string bytes(static_cast<size_t>(size), '\0');
  in.seekg(0);
  if (!in.read(bytes.data(), size)) {
    return Error{ErrorCode::kNotFound, "cannot read " + file, "probe.text"};
  }
  return Parse(std::move(bytes), file);
}

Result<std::shared_ptr<const TextProbe>> TextProbe::Parse(
    std::string bytes, std::string_view name) {
  const auto wrong = [name](const std::string& what) {
    return Error{ErrorCode::kCorrupt, std::string(name) + ": " + what,
                 "probe.text"};
  };
  if (const Result<void> checked = CheckModelFile(bytes); !checked) {
    return wrong(checked.error().message);
  }
  std::shared_ptr<TextProbe> probe(new TextProbe());
  uint64_t hash = bytes.size();
  for (const char c : bytes) hash = Mix(hash ^ static_cast<uint8_t>(c));
  probe->fingerprint_ = fmt::format("{:016x}", hash);
  std::istringstream in(std::move(bytes));
  in.seekg(kModelHeaderBytes);  // loadModel(stream) expects to stand after it
  try {
    probe->model_->loadModel(in);
  } catch (const std::exception& e) {
    return wrong(e.what());
  }
  return std::shared_ptr<const TextProbe>(std::move(probe));
}

core::Intent TextProbe::Classify(const core::Request& request) const {
  return ClassifyText(TextOf(request));
}

core::Intent TextProbe::ClassifyText(std::string_view text) const {
  if (text.empty()) return {};
  return Predict(Normalize(text));
}

core::Intent TextProbe::Predict(const Tokens& tokens) const {
  std::vector<int32_t> words, labels;
  fasttext::Predictions found;
  core::Intent intent;
  try {
    const auto dictionary = model_->getDictionary();
    std::istringstream features(tokens.features), text(tokens.words + "\n");
    dictionary->getLine(features, words, labels);
    const std::vector<int32_t> once = words;
    dictionary->getLine(text, words, labels);
    for (int i = 0; i < tokens.repeats; ++i) {
      words.insert(words.end(), once.begin(), once.end());
    }
    model_->predict(static_cast<int32_t>(core::kLabels), words, found);
    std::array<double, core::kLabels> p{};
    double sum = 0;
    for (const auto& [logarithm, id] : found) {
      const std::string name = dictionary->getLabel(id);
      const auto label =
          core::LabelNamed(std::string_view(name).substr(kLabelPrefix.size()));
      if (!label) continue;
      // fastText adds 1e-5 before it takes the logarithm.
      const double x = std::max(0.0, std::exp(double{logarithm}) - 1e-5);
      p[static_cast<size_t>(*label)] = x;
      sum += x;
    }
    if (!(sum > 0)) return intent;  // no known word, or no numbers
    for (double& x : p) x /= sum;
    intent.probabilities = p;
    intent.source = core::IntentSource::kText;
  } catch (const std::exception&) {
    return {};
  }
  return intent;
}

}  // namespace aio::probe
