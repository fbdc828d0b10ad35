// SPDX-License-Identifier: Apache-2.0
//
// The text probe: what a request wants, from its words alone, in tens of
// microseconds. A quantized fastText model over Normalize's tokens; its last
// layer was divided by the calibration temperature when it was made, so its
// probabilities can be taken as they are (docs/probe.md).
//
// Thread safety: const after loading; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/intent.h"
#include "core/request.h"
#include "probe/normalize.h"

namespace fasttext {
class FastText;
}  // namespace fasttext

namespace aio::probe {

class TextProbe {
 public:
  // Reads a .ftz or .bin file. kNotFound if it cannot be read, kCorrupt if it
  // is no model of ours: the file is checked before fastText sees it.
  static Result<std::shared_ptr<const TextProbe>> Load(const std::string& file);
  // The same from memory; `name` is for errors.
  static Result<std::shared_ptr<const TextProbe>> Parse(std::string bytes,
                                                        std::string_view name);
  ~TextProbe();

  // kNone and uniform where there is nothing to read.
  core::Intent Classify(const core::Request& request) const;
  core::Intent ClassifyText(std::string_view text) const;
  // Of the model file: what was measured of another is not of this one.
  const std::string& fingerprint() const { return fingerprint_; }

 private:
  TextProbe();
  // Uniform if no token is known or the library fails.
  core::Intent Predict(const Tokens& tokens) const;

  std::unique_ptr<fasttext::FastText> model_;
  std::string fingerprint_;
};

}  // namespace aio::probe
