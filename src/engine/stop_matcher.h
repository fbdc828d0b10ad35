// SPDX-License-Identifier: Apache-2.0
//
// Finds stop strings in a text that arrives in pieces, and says how much of it
// may be shown: never a part of a stop string, never less than what certainly
// is not one.
//
// Thread safety: none; one per choice.
// Cost: O(pieces x stop strings x their length).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace aio::engine {

class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops);

  // Appends `piece`. Returns the text that can be shown now. After a match,
  // that ends right before the stop string and stopped() is true; of several
  // matches the earliest counts.
  std::string Push(std::string_view piece);
  // The text that was held back, when no more will come.
  std::string Finish();

  bool stopped() const { return stopped_; }
  // Bytes of the whole text shown so far.
  size_t shown() const { return shown_; }

 private:
  size_t HoldBack() const;

  std::vector<std::string> stops_;  // none empty
  std::string pending_;
  size_t shown_ = 0;
  bool stopped_ = false;
};

}  // namespace aio::engine
