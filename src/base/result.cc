// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

namespace aio {

std::string_view CodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "InvalidArgument";
    case ErrorCode::kNotFound:
      return "NotFound";
    case ErrorCode::kCorrupt:
      return "Corrupt";
    case ErrorCode::kUnsupported:
      return "Unsupported";
    case ErrorCode::kDenied:
      return "Denied";
    case ErrorCode::kOverloaded:
      return "Overloaded";
    case ErrorCode::kUnavailable:
      return "Unavailable";
    case ErrorCode::kDeadline:
      return "Deadline";
    case ErrorCode::kCancelled:
      return "Cancelled";
    case ErrorCode::kInternal:
      return "Internal";
  }
  return "Unknown";
}

}  // namespace aio
