// SPDX-License-Identifier: Apache-2.0
#include "server/session.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <exception>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"
#include "base/nearest.h"
#include "openai/request.h"
#include "openai/write.h"
#include "server/route_json.h"

namespace aio::server {

namespace net = boost::asio;

namespace {

Time Now() { return std::chrono::steady_clock::now(); }

// Counts a request that takes part in server.requests_max.
class InFlight {
 public:
  explicit InFlight(Context* context) : context_(context) {
    full_ = context_->requests.fetch_add(1) >= context_->options.requests_max;
  }
  ~InFlight() { context_->requests.fetch_sub(1); }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;
  bool full() const { return full_; }

 private:
  Context* context_;
  bool full_;
};

// The answer of Orchestrator::Route on its way to the connection.
struct Explained {
  explicit Explained(net::any_io_executor executor)
      : bell(std::make_shared<Bell>(std::move(executor))) {}

  void Set(Result<orchestrator::Explanation> value) {
    {
      MutexLock lock(mutex);
      if (!result) result = std::move(value);
    }
    bell->Ring();
  }
  std::optional<Result<orchestrator::Explanation>> Take() {
    MutexLock lock(mutex);
    return std::exchange(result, std::nullopt);
  }

  const std::shared_ptr<Bell> bell;
  Mutex mutex;
  std::optional<Result<orchestrator::Explanation>> result GUARDED_BY(mutex);
};

std::string Milliseconds(Duration d) {
  return std::to_string(
      std::chrono::duration_cast<std::chrono::milliseconds>(d).count());
}

Reply Told(const Refusal& refusal) {
  return ErrorReply(refusal.status,
                    Error{ErrorCode::kInvalidArgument, refusal.message, ""},
                    "");
}

Error Unavailable(std::string message) {
  return Error{ErrorCode::kUnavailable, std::move(message), ""};
}

}  // namespace

Session::Session(std::shared_ptr<Context> context, net::ip::tcp::socket socket)
    : context_(std::move(context)),
      peer_(std::make_shared<Peer>(std::move(socket), context_->options,
                                   &context_->traffic)) {}

void Session::Start(std::function<void()> ended) {
  context_->traffic.Opened();
  net::co_spawn(peer_->executor(), Run(),
                [self = shared_from_this(),
                 ended = std::move(ended)](std::exception_ptr failed) {
                  // Only memory can be short here; the connection is lost.
                  if (failed) Log(LogLevel::kError, "connection_failed");
                  self->peer_->Close();
                  self->context_->traffic.Closed();
                  ended();
                });
}

void Session::Drain() {
  net::post(peer_->executor(),
            [self = shared_from_this()] { self->peer_->CloseIfIdle(); });
}

void Session::Stop(Error why) {
  net::post(peer_->executor(),
            [self = shared_from_this(), why = std::move(why)] {
              if (self->stop_) self->stop_(why);
            });
}

void Session::Close() {
  net::post(peer_->executor(),
            [self = shared_from_this()] { self->peer_->Close(); });
}

net::awaitable<void> Session::Run() {
  bool more = true;
  while (more && !context_->draining) more = co_await ServeOne();
  if (unread_ && peer_->open()) co_await peer_->Linger();
}

net::awaitable<bool> Session::ServeOne() {
  Call call;
  call.route = "none";
  const auto refusal = co_await peer_->ReadHead(&call.head);
  if (refusal && refusal->status == 0) co_return false;
  call.id = context_->NewId();
  call.begun = Now();
  call.keep_alive = call.head.keep_alive && !refusal && !context_->draining;
  context_->traffic.Begun();
  const Route* route = refusal ? nullptr : FindRoute(call.head.path);
  if (route != nullptr) call.route = route->path;
  std::optional<Reply> reply = refusal ? Told(*refusal) : Check(&call, route);
  std::string body;
  if (!reply) {
    const auto cut = co_await peer_->ReadBody(&body);
    if (cut) reply = Told(*cut);
  }
  unread_ = refusal || peer_->body_pending();
  if (unread_) call.keep_alive = false;
  if (!reply) {
    co_await Answer(&call, *route, std::move(body));
  } else if (reply->status != 0) {
    co_await SendReply(peer_.get(), &call, *std::move(reply));
  } else {
    call.status = 499;  // the client left before its request was whole
  }
  Record(call);
  co_return call.keep_alive && peer_->open();
}

std::optional<Reply> Session::Check(Call* call, const Route* route) {
  const std::string& method = call->head.method;
  if (route == nullptr) {
    return ErrorReply(404,
                      Error{ErrorCode::kNotFound,
                            "there is nothing at " + method + " " +
                                HeaderValue(call->head.path),
                            ""},
                      "unknown_url");
  }
  const bool head = method == "HEAD" && route->method == "GET";
  if (method != route->method && !head) {
    Reply reply = ErrorReply(
        405,
        Error{ErrorCode::kInvalidArgument,
              std::string(route->path) + " takes " + std::string(route->method),
              ""},
        "method_not_allowed");
    reply.fields.emplace_back("Allow",
                              route->method == "GET" ? "GET, HEAD" : "POST");
    return reply;
  }
  if (!route->needs_key) return std::nullopt;
  const auto tenant = context_->keys.Tenant(call->head.authorization);
  if (!tenant) {
    return ErrorReply(Error{ErrorCode::kDenied,
                            call->head.authorization.empty()
                                ? "an API key is needed: Authorization: Bearer"
                                : "this API key is not known here",
                            ""});
  }
  call->tenant = *tenant;
  return std::nullopt;
}

net::awaitable<void> Session::Answer(Call* call, const Route& route,
                                     std::string body) {
  switch (route.action) {
    case Action::kChat:
      co_await Generate(call, openai::Kind::kChat, std::move(body));
      break;
    case Action::kCompletion:
      co_await Generate(call, openai::Kind::kCompletion, std::move(body));
      break;
    case Action::kRoute:
      co_await Explain(call, std::move(body));
      break;
    default:
      co_await SendReply(peer_.get(), call, Get(*call));
      break;
  }
}

Result<openai::Parsed> Session::Parse(const Call& call, openai::Kind kind,
                                      std::string body) const {
  if (context_->draining) return Unavailable("the server is shutting down");
  if (context_->parts.log_prompts) {
    Log(LogLevel::kInfo, "prompt", {{"id", call.id}, {"body", body}});
  }
  auto parsed = openai::ParseRequest(kind, std::move(body), context_->limits());
  if (!parsed) return parsed;
  parsed->request.id = call.id;
  parsed->request.tenant = call.tenant;
  return parsed;
}

net::awaitable<void> Session::Generate(Call* call, openai::Kind kind,
                                       std::string body) {
  const InFlight in_flight(context_.get());
  auto parsed = Parse(*call, kind, std::move(body));
  if (parsed && in_flight.full()) {
    parsed = Error{ErrorCode::kOverloaded, "too many requests at once", ""};
  }
  if (!parsed) {
    call->error = parsed.error().message;
    co_await SendReply(peer_.get(), call, ErrorReply(parsed.error()));
    co_return;
  }
  Generation generation(context_, peer_, *std::move(parsed), call);
  stop_ = [inbox = generation.inbox()](Error why) {
    inbox->Stop(std::move(why));
  };
  co_await generation.Run();
  stop_ = nullptr;
}

net::awaitable<void> Session::Explain(Call* call, std::string body) {
  const InFlight in_flight(context_.get());
  auto parsed = Parse(*call, openai::Kind::kRoute, std::move(body));
  if (parsed && in_flight.full()) {
    parsed = Error{ErrorCode::kOverloaded, "too many requests at once", ""};
  }
  if (!parsed) {
    call->error = parsed.error().message;
    co_await SendReply(peer_.get(), call, ErrorReply(parsed.error()));
    co_return;
  }
  const auto explained = std::make_shared<Explained>(peer_->executor());
  context_->parts.orchestrator->Route(
      std::make_shared<core::Request>(std::move(parsed->request)),
      [explained](Result<orchestrator::Explanation> result) {
        explained->Set(std::move(result));
      });
  stop_ = [explained](Error why) { explained->Set(std::move(why)); };
  const Time deadline = call->begun + context_->options.request_timeout;
  auto result = explained->Take();
  while (!result) {
    co_await explained->bell->Wait(deadline);
    if (Now() >= deadline) {
      context_->traffic.Timeout("request");
      context_->parts.orchestrator->Cancel(call->id);
      explained->Set(Error{ErrorCode::kDeadline, "routing took too long", ""});
    }
    result = explained->Take();
  }
  stop_ = nullptr;
  Reply reply;
  if (result->has_value()) {
    reply.body = RouteJson(result->value());
  } else {
    call->error = result->error().message;
    reply = ErrorReply(result->error());
  }
  co_await SendReply(peer_.get(), call, std::move(reply));
}

Reply Session::Get(const Call& call) const {
  const Route& route = *FindRoute(call.head.path);
  Reply reply;
  std::vector<openai::Model> models;
  std::vector<std::string> names = {"auto"};
  int64_t newest = 0;
  for (const core::Variant& variant :
       context_->parts.orchestrator->variants()) {
    models.push_back({variant.name, variant.created});
    names.push_back(variant.name);
    newest = std::max(newest, variant.created);
  }
  models.insert(models.begin(), {"auto", newest});
  switch (route.action) {
    case Action::kModels:
      reply.body = openai::ModelsJson(models);
      return reply;
    case Action::kModel: {
      const std::string_view id = RouteId(route, call.head.path);
      for (const openai::Model& model : models) {
        if (model.name != id) continue;
        reply.body = openai::ModelJson(model);
        return reply;
      }
      return ErrorReply(Error{
          ErrorCode::kNotFound,
          "unknown model '" + std::string(id) + "'" + DidYouMean(id, names),
          "model"});
    }
    case Action::kReady:
      if (context_->draining) return ErrorReply(Unavailable("shutting down"));
      if (context_->parts.ready && !context_->parts.ready()) {
        return ErrorReply(Unavailable("not ready yet"));
      }
      reply.body = R"({"status":"ready"})";
      return reply;
    case Action::kMetrics:
      if (context_->parts.refresh_metrics) context_->parts.refresh_metrics();
      reply.type = "text/plain; version=0.0.4; charset=utf-8";
      reply.body = context_->parts.metrics->Export();
      return reply;
    default:
      reply.body = R"({"status":"ok"})";
      return reply;
  }
}

void Session::Record(const Call& call) const {
  const Duration total = Now() - call.begun;
  context_->traffic.Ended(call.route, call.status, total);
  const bool quiet = call.route == "/health" || call.route == "/ready" ||
                     call.route == "/metrics";
  const core::Served served = call.served.value_or(core::Served());
  const bool ran = call.served.has_value();
  Log(quiet ? LogLevel::kDebug : LogLevel::kInfo, "request",
      {{"id", call.id},
       {"method", call.head.method},
       {"path", call.head.path},
       {"status", std::to_string(call.status)},
       {"variant", served.variant},
       {"intent", served.intent},
       {"strategy", ran ? std::string(core::Name(served.strategy)) : ""},
       {"reason", served.reason},
       {"prompt_tokens", std::to_string(call.usage.prompt_tokens)},
       {"completion_tokens", std::to_string(call.usage.completion_tokens)},
       {"first_token_ms",
        call.first_token ? Milliseconds(*call.first_token) : ""},
       {"total_ms", Milliseconds(total)},
       {"error", call.error}});
}

}  // namespace aio::server
