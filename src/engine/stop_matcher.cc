// SPDX-License-Identifier: Apache-2.0
#include "engine/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace aio::engine {

StopMatcher::StopMatcher(std::vector<std::string> stops)
    : stops_(std::move(stops)) {
  std::erase(stops_, std::string());
}

std::string StopMatcher::Push(std::string_view piece) {
  if (stopped_) return "";
  pending_ += piece;
  size_t end = std::string::npos;
  for (const std::string& stop : stops_) {
    end = std::min(end, pending_.find(stop));
  }
  stopped_ = end != std::string::npos;
  if (!stopped_) end = pending_.size() - HoldBack();
  std::string out = pending_.substr(0, end);
  pending_.erase(0, stopped_ ? pending_.size() : end);
  shown_ += out.size();
  return out;
}

std::string StopMatcher::Finish() {
  shown_ += pending_.size();
  return std::exchange(pending_, "");
}

// The longest end of pending_ that begins a stop string.
size_t StopMatcher::HoldBack() const {
  size_t hold = 0;
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, pending_.size()); n > hold; --n) {
      if (pending_.compare(pending_.size() - n, n, stop, 0, n) == 0) {
        hold = n;
        break;
      }
    }
  }
  return hold;
}

}  // namespace aio::engine
