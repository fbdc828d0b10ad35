// SPDX-License-Identifier: Apache-2.0
#include "upstream/shared.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "upstream/body.h"

namespace aio::upstream {
namespace {

// What a server is believed to keep: a megabyte of text, about 260,000 tokens;
// on a 7B with 8 KV heads 34 GB.
constexpr size_t kSentBlocksMax = 4096;

}  // namespace

OpenAiBackend::Shared::Shared(Options options_in,
                              boost::asio::any_io_executor io_in,
                              Executor* clock_in)
    : options(std::move(options_in)),
      io(std::move(io_in)),
      clock(clock_in),
      replica(std::make_shared<Replica>(options.replica, io, clock)),
      sent_(kSentBlocksMax) {
  for (const auto& [name, model] : options.variants) {
    variants_[name] = {model, options.bytes_per_token};
  }
}

void OpenAiBackend::Shared::Begin(std::vector<Connection::Address> literal) {
  if (!literal.empty()) replica->SetAddresses(std::move(literal));
  const Endpoint& endpoint = options.replica.endpoint;
  if (!endpoint.literal && !options.given) {
    Names::Options found;
    found.host = endpoint.host;
    found.port = endpoint.port;
    found.every = options.lookup_every;
    names_ = std::make_shared<Names>(
        found, options.lookup ? options.lookup : SystemLookup(io), clock,
        [weak = weak_from_this()](std::vector<Connection::Address> addresses) {
          if (const auto self = weak.lock()) {
            self->SetAddresses(std::move(addresses));
          }
        });
    names_->Start();
  }
  replica->Watch();
}

void OpenAiBackend::Shared::SetAddresses(
    std::vector<Connection::Address> addresses) {
  if (replica->SetAddresses(std::move(addresses))) {
    const MutexLock lock(mutex);
    sent_.Clear();
  }
}

Result<std::string> OpenAiBackend::Shared::ModelOf(std::string_view variant) {
  const MutexLock lock(mutex);
  const auto it = variants_.find(variant);
  if (it != variants_.end()) return it->second.model;
  return Error{
      ErrorCode::kNotFound,
      "this upstream serves no variant \"" + std::string(variant) + "\"",
      "model"};
}

double OpenAiBackend::Shared::BytesPerToken(std::string_view variant) {
  const MutexLock lock(mutex);
  const auto it = variants_.find(variant);
  return it == variants_.end() ? options.bytes_per_token
                               : it->second.bytes_per_token;
}

int OpenAiBackend::Shared::EstimatedTokens(const core::Request& request,
                                           std::string_view variant) {
  const double tokens =
      std::ceil(static_cast<double>(PromptBytes(request)) /
                BytesPerToken(variant)) +
      static_cast<double>(request.chat ? 0 : request.prompt_tokens.size());
  return static_cast<int>(
      std::min<double>(tokens, std::numeric_limits<int>::max()));
}

int OpenAiBackend::Shared::CachedTokens(
    const std::shared_ptr<const core::Request>& request,
    std::string_view variant, int tokens) {
  if (!options.hashes || !options.prefix_cache) return 0;
  const auto chain = options.hashes->Of(request);
  size_t blocks = 0;
  {
    const MutexLock lock(mutex);
    blocks = sent_.Match(*chain);
  }
  const double cached =
      static_cast<double>(blocks * kBlockBytes) / BytesPerToken(variant);
  return static_cast<int>(std::min<double>(cached, tokens));
}

void OpenAiBackend::Shared::Answered(
    const std::shared_ptr<const core::Request>& request,
    const std::string& variant, int tokens) {
  std::shared_ptr<const HashChain> chain;
  if (options.hashes && options.prefix_cache) {
    chain = options.hashes->Of(request);
  }
  const MutexLock lock(mutex);
  if (chain) sent_.Add(*chain);
  LearnBytesPerToken(variant, PromptBytes(*request), tokens);
}

// Follows the upstream's tokenizer and its users' language, slowly.
void OpenAiBackend::Shared::LearnBytesPerToken(const std::string& variant,
                                               int64_t bytes, int tokens) {
  constexpr int64_t kBytesMin = 64;  // less is mostly the template
  constexpr double kWeight = 0.1;
  if (bytes < kBytesMin || tokens <= 0) return;
  const double seen =
      std::clamp(static_cast<double>(bytes) / tokens, 0.5, 16.0);
  double& mean = variants_[variant].bytes_per_token;
  mean += kWeight * (seen - mean);
}

}  // namespace aio::upstream
