// SPDX-License-Identifier: Apache-2.0
//
// Fitting the text probe: fastText, supervised, one thread and a fixed seed, so
// the same samples give the same bytes.
//
// Thread safety: none.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "probe/calibration.h"
#include "tools/probe_data.h"

namespace fasttext {
class FastText;
}

namespace aio::tools {

struct FitOptions {
  int dim = 10;
  int epochs = 5;
  double rate = 0.3;
  int features = 8000;  // words kept by quantization, the largest first
  // Each sample is trained on several times, each time with another part of its
  // tokens left out, so that no single word carries a label alone.
  double copies = 6;     // mean; more for samples that weigh more
  double dropout = 0.3;  // mean part left out
  // A source of n samples of a label weighs n^power, so that a benchmark's
  // template does not outshout what people write; natural sources weigh more.
  double source_power = 0.4;
  double natural_weight = 4;
};

class Fitted {
 public:
  Fitted(const std::vector<const Sample*>& samples, const FitOptions& options,
         double temperature = 1);
  ~Fitted();
  probe::Logits Predict(const std::string& line) const;
  void Save(const std::string& file);

 private:
  std::unique_ptr<fasttext::FastText> model_;
};

}  // namespace aio::tools
