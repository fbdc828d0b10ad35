// SPDX-License-Identifier: Apache-2.0
//
// Whether only a strong model will answer rightly, guessed from the words of
// the question: a fastText classifier over the text probe's tokens, fitted on
// questions of which that is known. One thread and a fixed seed: the same
// questions give the same scores.
//
// Thread safety: const after Fit; any thread. Fit writes a file for temporary
// use, as the library trains from files only, and removes it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace fasttext {
class FastText;
}  // namespace fasttext

namespace aio::cli {

struct PredictorSample {
  std::string line;  // probe::Line of the question
  bool strong = false;
};

class RoutePredictor {
 public:
  // kInvalidArgument if there is too little to learn from; kUnavailable
  // without a place for the temporary file.
  static Result<RoutePredictor> Fit(std::span<const PredictorSample> samples,
                                    uint64_t seed);
  RoutePredictor(RoutePredictor&&) noexcept;
  ~RoutePredictor();

  // The probability that only the strong model is right, 0..1; 0.5 if the
  // library fails.
  double Score(const std::string& line) const;

 private:
  explicit RoutePredictor(std::unique_ptr<fasttext::FastText> model);

  std::unique_ptr<fasttext::FastText> model_;
};

}  // namespace aio::cli
