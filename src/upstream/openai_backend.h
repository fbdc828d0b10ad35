// SPDX-License-Identifier: Apache-2.0
//
// A remote OpenAI-compatible server (vLLM, SGLang, llama-server, another A-IO)
// as a core::Backend. Requests go out as the client wrote them and come back as
// the server wrote them (Delta::raw_json, Done::raw_json): a stream where the
// client wants one, and else one body, as servers call tools less well in
// streams.
//
// Of one server (replica.h): no retry, View says how it is, and leaves it to
// the caller to go elsewhere.
//
// Thread safety: any thread. Callbacks run on the threads of `io`. Destroying
// it ends what runs with kCancelled.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "core/backend.h"
#include "upstream/names.h"
#include "upstream/prompt_hashes.h"
#include "upstream/replica.h"

namespace aio::upstream {

class OpenAiBackend : public core::Backend {
 public:
  struct Options {
    std::string url;  // http://host:port/v1
    // Our name of each variant -> the model's name at the upstream.
    std::map<std::string, std::string> variants;
    // How it is told not to think, where it otherwise does.
    core::ThinkingSwitch thinking = core::ThinkingSwitch::kNone;
    // Endpoint, TLS and key are filled from here.
    Replica::Options replica;
    std::string api_key;  // sent as a bearer token; empty: none is sent
    TlsContext tls;       // of an https url; null: what the system trusts
    // Who looks its name up; empty: the system. `given`: nobody does, and
    // SetAddresses says where it is.
    Lookup lookup;
    Duration lookup_every = std::chrono::seconds(30);
    bool given = false;
    // Whether the server keeps the KV of prompts; and who hashes them for all
    // backends, null: nobody does.
    bool prefix_cache = true;
    std::shared_ptr<PromptHashes> hashes;
    // Prompt sizes are estimated with it until answers tell better.
    double bytes_per_token = 4;
  };

  // `clock` must outlive the backend and the tasks that it posts there. Errors
  // are those of ParseEndpoint, and kInvalidArgument for a key that no header
  // can carry. Nothing is connected yet.
  static Result<std::shared_ptr<OpenAiBackend>> Make(
      Options options, boost::asio::any_io_executor io, Executor* clock);
  ~OpenAiBackend() override;
  OpenAiBackend(const OpenAiBackend&) = delete;
  OpenAiBackend& operator=(const OpenAiBackend&) = delete;

  // The body of a GET, behind the endpoint's path ("/models").
  void Get(const std::string& target,
           std::function<void(Result<std::string>)> done);

  // Where it is, for who was made with `given`; none: it is nowhere.
  void SetAddresses(std::vector<Connection::Address> addresses);

  // `running` counts our own requests; what others send there is not known.
  core::Snapshot View(std::string_view variant) const override;
  // Estimated from bytes; never exact. What it has answered before and begins
  // alike counts as cached.
  void Peek(std::shared_ptr<const core::Request> request,
            std::string_view variant, std::optional<core::Thinking> thinking,
            PeekDone done) override;
  void Start(std::shared_ptr<const core::Request> request, core::Plan plan,
             std::shared_ptr<core::Sink> sink) override;
  void Cancel(std::string_view request_id) override;
  // Approximate: see SuffixForm and LabelLogits. Asks in the exact form first
  // and, where that is refused, in the plain one from then on.
  void Score(core::ScoreRequest request, Time deadline,
             ScoreDone done) override;

 private:
  struct Shared;
  class Serving;
  class Scoring;
  explicit OpenAiBackend(std::shared_ptr<Shared> shared);

  const std::shared_ptr<Shared> shared_;
};

}  // namespace aio::upstream
