// SPDX-License-Identifier: Apache-2.0
#include "openai/sse.h"

#include <utility>

namespace aio::openai {

std::string SseData(std::string_view data) {
  std::string out;
  out.reserve(data.size() + 8);
  out += "data: ";
  out += data;
  out += "\n\n";
  return out;
}

Result<void> SseDecoder::Feed(std::string_view bytes,
                              std::vector<SseEvent>* events) {
  while (!bytes.empty() && !too_large_) {
    if (after_cr_ && bytes.front() == '\n') bytes.remove_prefix(1);
    after_cr_ = false;
    const size_t end = bytes.find_first_of("\r\n");
    const std::string_view part = bytes.substr(0, end);
    const size_t held = line_.size() + event_.data.size() + event_.event.size();
    if (part.size() > event_bytes_max_ - held) {
      too_large_ = true;
      break;
    }
    line_ += part;
    if (end == std::string_view::npos) break;
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    EndLine(events);
  }
  if (!too_large_) return {};
  return Error{ErrorCode::kCorrupt,
               "a server-sent event is larger than " +
                   std::to_string(event_bytes_max_) + " bytes",
               ""};
}

void SseDecoder::EndLine(std::vector<SseEvent>* events) {
  std::string_view line = line_;
  if (std::exchange(first_line_, false) && line.starts_with("\xEF\xBB\xBF")) {
    line.remove_prefix(3);
  }
  if (line.empty()) {
    if (!event_.data.empty()) {
      event_.data.pop_back();  // the \n of the last data line
      events->push_back(std::move(event_));
    }
    event_ = {};
  } else if (const size_t colon = line.find(':');
             colon == std::string_view::npos) {
    Field(line, {});
  } else {
    std::string_view value = line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    Field(line.substr(0, colon), value);
  }
  line_.clear();
}

void SseDecoder::Field(std::string_view name, std::string_view value) {
  if (name == "data") {
    event_.data += value;
    event_.data += '\n';
  } else if (name == "event") {
    event_.event = value;
  }  // a comment has the empty name; id and retry concern reconnecting
}

}  // namespace aio::openai
