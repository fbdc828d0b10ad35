// SPDX-License-Identifier: Apache-2.0
//
// What the calls of an OpenAiBackend have in common. Outlives the backend while
// an exchange runs.
//
// Thread safety: any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "upstream/openai_backend.h"

namespace aio::upstream {

struct OpenAiBackend::Shared
    : public std::enable_shared_from_this<OpenAiBackend::Shared> {
  Shared(Options options, boost::asio::any_io_executor io, Executor* clock);

  // Looks for it, unless it is where `literal` says, and watches its health.
  void Begin(std::vector<Connection::Address> literal);
  void SetAddresses(std::vector<Connection::Address> addresses);

  Result<std::string> ModelOf(std::string_view variant);
  double BytesPerToken(std::string_view variant);
  int EstimatedTokens(const core::Request& request, std::string_view variant);
  // Of `tokens`, those that it was sent before.
  int CachedTokens(const std::shared_ptr<const core::Request>& request,
                   std::string_view variant, int tokens);
  // It has answered `request`, whose prompt had so many tokens; 0: not known.
  void Answered(const std::shared_ptr<const core::Request>& request,
                const std::string& variant, int tokens);

  const Options options;
  const boost::asio::any_io_executor io;
  Executor* const clock;
  const std::shared_ptr<Replica> replica;

  Mutex mutex;
  // Whether the upstream may know how to continue a message.
  bool continues GUARDED_BY(mutex) = true;

 private:
  struct VariantState {
    std::string model;
    double bytes_per_token = 4;
  };
  void LearnBytesPerToken(const std::string& variant, int64_t bytes, int tokens)
      REQUIRES_LOCK(mutex);

  std::shared_ptr<Names> names_;  // null: nothing is looked up
  std::map<std::string, VariantState, std::less<>> variants_ GUARDED_BY(mutex);
  SentPrompts sent_ GUARDED_BY(mutex);
};

}  // namespace aio::upstream
