// SPDX-License-Identifier: Apache-2.0
//
// How fastText classifiers are fitted here: the text probe (tools/probe_fit.cc)
// and whatever is compared with it. One thread and a fixed seed, so that the
// same lines give the same model.
//
// Thread safety: pure function.
#pragma once

#include <fasttext/args.h>

#include <string>

namespace aio::probe {

inline constexpr char kLabelPrefix[] = "__label__";

// `input`: a file of lines "__label__NAME words".
inline fasttext::Args FastTextArgs(const std::string& input, int dim,
                                   int epochs, double rate) {
  fasttext::Args args;
  args.input = input;
  args.output = input;  // unused; nothing is saved while training
  args.model = fasttext::model_name::sup;
  args.loss = fasttext::loss_name::softmax;
  args.minCount = 2;
  args.minCountLabel = 0;
  args.dim = dim;
  args.epoch = epochs;
  args.lr = rate;
  args.wordNgrams = 1;  // pairs of words and parts of words gained nothing
  args.minn = 0;
  args.maxn = 0;
  args.bucket = 0;
  args.thread = 1;
  args.seed = 1;
  args.verbose = 0;
  args.label = kLabelPrefix;
  return args;
}

}  // namespace aio::probe
