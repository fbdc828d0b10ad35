// SPDX-License-Identifier: Apache-2.0
//
// How much longer something takes than is said of it, learned from how it went:
// a mean of logarithms that forgets, within bounds, so that a bad hour cannot
// turn prices upside down. Bad hours only make slower: who is quicker is
// followed further.
//
// Thread safety: none.
#pragma once

namespace aio::cost {

class Residual {
 public:
  struct Options {
    double memory = 64;       // samples; larger: smoother and slower to follow
    double prior = 8;         // samples that it is as was said, to begin with
    double slower_max = 1.5;  // it corrects by this at most
    double faster_max = 6;
  };
  Residual() : Residual(Options()) {}
  explicit Residual(const Options& options) : options_(options) {}

  // `said` as corrected then. What is not positive and finite teaches nothing.
  void Learn(double said, double took);
  // What to multiply the next one by.
  double Factor() const;
  // The bounds do not let it correct any more: what is said is wrong.
  bool drifted() const;

 private:
  double Mean() const;

  Options options_;
  double sum_ = 0;  // of logarithms
  double weight_ = 0;
};

}  // namespace aio::cost
