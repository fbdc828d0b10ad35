// SPDX-License-Identifier: Apache-2.0
#include "server/inbox.h"

#include <utility>

namespace aio::server {
namespace {

// What a delta takes once written: the envelope of a chunk is some 200 bytes, a
// token with its log probability about 80.
int64_t WireBytes(const core::Delta& delta) {
  constexpr int64_t kEnvelope = 200;
  constexpr int64_t kToken = 80;
  int64_t tokens = 0;
  for (const core::TokenLogprob& token : delta.logprobs) {
    tokens += 1 + static_cast<int64_t>(token.top.size());
  }
  return kEnvelope + tokens * kToken +
         static_cast<int64_t>(delta.text.size() + delta.reasoning.size() +
                              delta.tool_calls.size() + delta.raw_json.size());
}

}  // namespace

Inbox::Inbox(boost::asio::any_io_executor executor, int64_t bytes_max,
             std::function<void()> overflow)
    : bell_(std::make_shared<Bell>(std::move(executor))),
      bytes_max_(bytes_max),
      overflow_(std::move(overflow)) {}

void Inbox::OnStart(const core::Served& served) {
  {
    MutexLock lock(mutex_);
    batch_.served = served;
  }
  bell_->Ring();
}

void Inbox::OnDelta(core::Delta delta) {
  const int64_t bytes = WireBytes(delta);
  bool first = false;
  {
    MutexLock lock(mutex_);
    if (batch_.overflow) return;
    // One delta alone is taken whatever its size: that is no slow reader.
    if (bytes_ > 0 && bytes_ + bytes > bytes_max_) {
      batch_.overflow = first = true;
    } else {
      bytes_ += bytes;
      batch_.deltas.push_back(std::move(delta));
    }
  }
  if (first) overflow_();
  bell_->Ring();
}

void Inbox::OnDone(Result<core::Done> done) {
  {
    MutexLock lock(mutex_);
    batch_.done = std::move(done);
  }
  bell_->Ring();
}

void Inbox::Stop(Error why) {
  {
    MutexLock lock(mutex_);
    if (!batch_.stop) batch_.stop = std::move(why);
  }
  bell_->Ring();
}

Inbox::Batch Inbox::Take() {
  MutexLock lock(mutex_);
  bytes_ = 0;
  Batch taken = std::move(batch_);
  batch_ = Batch();
  batch_.overflow = taken.overflow;  // stays: nothing may follow a gap
  return taken;
}

}  // namespace aio::server
