// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/flight.h"

#include <utility>

namespace aio::orchestrator {

std::string_view Name(ProbeState state) {
  switch (state) {
    case ProbeState::kPinned:
      return "pinned";
    case ProbeState::kSticky:
      return "sticky";
    case ProbeState::kText:
      return "text";
    case ProbeState::kModel:
      return "model";
    case ProbeState::kSkipped:
      return "skipped";
    case ProbeState::kTimedOut:
      return "timed_out";
    case ProbeState::kFailed:
      return "failed";
  }
  return "";
}

Flight::~Flight() {
  Fail({ErrorCode::kCancelled, "the server is stopping", ""});
}

int Flight::OptionOf(int of_variant) const {
  for (size_t i = 0; i < options.size(); ++i) {
    if (static_cast<int>(options[i].variant) == of_variant) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

void Flight::Fail(Error error) {
  if (explained) std::exchange(explained, nullptr)(error);
  if (answer) answer->Done(std::move(error));
}

}  // namespace aio::orchestrator
