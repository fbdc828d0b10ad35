// SPDX-License-Identifier: Apache-2.0
#include "upstream/openai_backend.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <charconv>
#include <optional>
#include <utility>

#include "upstream/scoring.h"
#include "upstream/serving.h"
#include "upstream/shared.h"

namespace aio::upstream {
namespace {

namespace asio = boost::asio;

bool IsHeaderSafe(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c > ' ' && c <= '~'; });
}

// Of an endpoint that names no name.
std::vector<Connection::Address> Literal(const Endpoint& endpoint) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(endpoint.host, error);
  uint16_t port = 0;
  std::from_chars(endpoint.port.data(),
                  endpoint.port.data() + endpoint.port.size(), port);
  if (error) return {};
  return {{address, port}};
}

}  // namespace

Result<std::shared_ptr<OpenAiBackend>> OpenAiBackend::Make(
    Options options, asio::any_io_executor io, Executor* clock) {
  ASSIGN_OR_RETURN(Endpoint endpoint, ParseEndpoint(options.url));
  if (!IsHeaderSafe(options.api_key)) {
    return Error{ErrorCode::kInvalidArgument,
                 "the upstream's key has spaces or control characters in it",
                 "api_key_env"};
  }
  if (endpoint.tls && !options.tls) {
    ASSIGN_OR_RETURN(options.tls, MakeTls(""));
  }
  options.replica.tls = endpoint.tls ? options.tls : nullptr;
  options.replica.api_key = options.api_key;
  options.replica.endpoint = endpoint;
  const auto shared = std::make_shared<Shared>(std::move(options), io, clock);
  shared->Begin(Literal(endpoint));
  return std::shared_ptr<OpenAiBackend>(new OpenAiBackend(shared));
}

OpenAiBackend::OpenAiBackend(std::shared_ptr<Shared> shared)
    : shared_(std::move(shared)) {}

OpenAiBackend::~OpenAiBackend() {
  shared_->replica->Close(
      Error{ErrorCode::kCancelled, "the backend is closing", ""});
}

void OpenAiBackend::SetAddresses(std::vector<Connection::Address> addresses) {
  shared_->SetAddresses(std::move(addresses));
}

void OpenAiBackend::Get(const std::string& target,
                        std::function<void(Result<std::string>)> done) {
  Replica::Job job;
  job.method = "GET";
  job.target = target;
  job.streamed = false;
  job.any_type = true;
  const auto body = std::make_shared<std::string>();
  const Result<void> begun = shared_->replica->Run(
      std::move(job),
      [body](std::string_view all) -> Result<bool> {
        *body = all;
        return true;
      },
      [body, done](const Ended& ended) {
        done(ended.result ? Result<std::string>(*body)
                          : Result<std::string>(ended.result.error()));
        return ended.result;
      });
  if (begun) return;
  asio::post(shared_->io, [done, error = begun.error()] { done(error); });
}

core::Snapshot OpenAiBackend::View(std::string_view) const {
  const Replica::Snapshot now = shared_->replica->View();
  core::Snapshot snapshot;
  snapshot.running = now.running;
  snapshot.others = now.others;
  snapshot.admissions = now.admissions;
  snapshot.healthy = now.healthy;
  snapshot.present = now.present;
  snapshot.full = now.full;
  return snapshot;
}

void OpenAiBackend::Peek(std::shared_ptr<const core::Request> request,
                         std::string_view variant,
                         std::optional<core::Thinking>, PeekDone done) {
  const auto model = shared_->ModelOf(variant);
  if (!model) return done(model.error());
  core::PromptSize size;
  size.tokens = shared_->EstimatedTokens(*request, variant);
  size.cached_tokens = shared_->CachedTokens(request, variant, size.tokens);
  size.exact = false;
  done(std::move(size));
}

void OpenAiBackend::Start(std::shared_ptr<const core::Request> request,
                          core::Plan plan, std::shared_ptr<core::Sink> sink) {
  const auto serving = std::make_shared<Serving>(shared_, std::move(request),
                                                 std::move(plan), sink);
  const Result<void> begun = serving->Begin();
  if (begun) return;
  asio::post(shared_->io, [sink = std::move(sink), error = begun.error()] {
    sink->OnDone(error);
  });
}

void OpenAiBackend::Cancel(std::string_view request_id) {
  shared_->replica->Stop(request_id,
                         Error{ErrorCode::kCancelled, "cancelled", ""});
}

void OpenAiBackend::Score(core::ScoreRequest request, Time deadline,
                          ScoreDone done) {
  const auto scoring =
      std::make_shared<Scoring>(shared_, std::move(request), deadline, done);
  const Result<void> asked = scoring->Begin();
  if (asked) return;
  asio::post(shared_->io,
             [done = std::move(done), error = asked.error()] { done(error); });
}

}  // namespace aio::upstream
