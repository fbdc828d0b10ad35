// SPDX-License-Identifier: Apache-2.0
#include "server/session.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <exception>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/nearest.h"
#include "openai/request.h"
#include "openai/write.h"
#include "server/fleet_json.h"
#include "server/later.h"
#include "server/route_json.h"

namespace aio::server {

namespace net = boost::asio;

namespace {

// Larger bodies are parsed where they hold up nobody: 8 MiB of numbers take a
// fifth of a second.
constexpr size_t kParseInlineBytes = 64 << 10;

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

// Of the prompt, and the least that an answer may take of what is asked for: a
// model's tokens are about four bytes of text.
int64_t EstimateTokens(const core::Request& request) {
  size_t bytes = request.prompt.size();
  for (const core::Message& m : request.messages) bytes += m.content.size();
  const auto prompt =
      static_cast<int64_t>(bytes / 4 + request.prompt_tokens.size());
  return prompt + std::min(request.max_tokens.value_or(0), 16);
}

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
    Settle(&call);
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
  call->key = context_->keys()->Find(call->head.authorization);
  if (call->key == nullptr) {
    return ErrorReply(Error{ErrorCode::kDenied,
                            call->head.authorization.empty()
                                ? "an API key is needed: Authorization: Bearer"
                                : "this API key is not known here",
                            ""});
  }
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
    case Action::kEmbeddings:
      co_await Generate(call, openai::Kind::kEmbeddings, std::move(body));
      break;
    case Action::kRoute:
      co_await Explain(call, std::move(body));
      break;
    case Action::kFleet:
    case Action::kDrain:
      co_await Fleet(call, route.action == Action::kDrain, std::move(body));
      break;
    default:
      co_await SendReply(peer_.get(), call, Get(*call));
      break;
  }
}

net::awaitable<Result<openai::Parsed>> Session::Parse(const Call& call,
                                                      openai::Kind kind,
                                                      std::string body) {
  if (context_->draining) co_return Unavailable("the server is shutting down");
  if (context_->parts.log_prompts) {
    Log(LogLevel::kInfo, "prompt", {{"id", call.id}, {"body", body}});
  }
  const openai::Limits limits = context_->limits();
  auto parsed = std::optional<Result<openai::Parsed>>();
  if (body.size() <= kParseInlineBytes || !context_->parts.workers) {
    parsed = openai::ParseRequest(kind, std::move(body), limits);
  } else {
    const auto later =
        std::make_shared<Later<Result<openai::Parsed>>>(peer_->executor());
    net::post(context_->parts.workers,
              [later, kind, limits, body = std::move(body)]() mutable {
                later->Set(openai::ParseRequest(kind, std::move(body), limits));
              });
    parsed = co_await later->Get(Time::max());
  }
  if (!*parsed) co_return *std::move(parsed);
  (*parsed)->request.id = call.id;
  (*parsed)->request.tenant = call.key->tenant;
  (*parsed)->request.weight = call.key->weight;
  (*parsed)->request.allowed = call.key->variants;
  co_return *std::move(parsed);
}

net::awaitable<std::optional<openai::Parsed>> Session::Accept(
    Call* call, openai::Kind kind, bool full, std::string body) {
  auto parsed = co_await Parse(*call, kind, std::move(body));
  if (parsed && full) {
    parsed = Error{ErrorCode::kOverloaded, "too many requests at once", ""};
  }
  int retry_seconds = 1;
  if (parsed) {
    const auto limited = Limit(call, kind, parsed->request);
    if (!limited) co_return *std::move(parsed);
    parsed = Error{ErrorCode::kOverloaded, limited->message, ""};
    retry_seconds = limited->seconds;
  }
  call->error = parsed.error().message;
  co_await SendReply(peer_.get(), call,
                     ErrorReply(parsed.error(), retry_seconds));
  co_return std::nullopt;
}

// What a route is explained for takes a request and no token.
std::optional<Limited> Session::Limit(Call* call, openai::Kind kind,
                                      const core::Request& request) {
  if (call->key->account == nullptr) return std::nullopt;
  const int64_t tokens =
      kind == openai::Kind::kRoute ? 0 : EstimateTokens(request);
  const Time now = Now();
  auto limited = call->ticket.Admit(call->key->account, tokens, now);
  call->fields = call->key->account->Headers(now);
  if (limited) context_->traffic.Limited(call->key->name, limited->limit);
  return limited;
}

// What ended without an answer took no token that we know of; and did not
// count, if that was our fault.
void Session::Settle(Call* call) {
  if (!call->ticket.open()) return;
  int64_t tokens = call->usage.prompt_tokens + call->usage.completion_tokens;
  if (tokens == 0 && call->pieces > 0) {
    tokens = call->ticket.estimated() + call->pieces;
  }
  const int status = call->status;
  const bool theirs = status >= 400 && status < 500 && status != 429;
  const bool served = tokens > 0 || theirs || call->error.empty();
  call->ticket.Settle(tokens, served, Now());
  context_->traffic.KeyTokens(call->key->name, tokens);
}

net::awaitable<void> Session::Generate(Call* call, openai::Kind kind,
                                       std::string body) {
  const InFlight in_flight(context_.get());
  auto parsed = co_await Accept(call, kind, in_flight.full(), std::move(body));
  if (!parsed) co_return;
  Generation generation(context_, peer_, *std::move(parsed), call);
  stop_ = [inbox = generation.inbox()](Error why) {
    inbox->Stop(std::move(why));
  };
  co_await generation.Run();
  stop_ = nullptr;
}

net::awaitable<void> Session::Explain(Call* call, std::string body) {
  using Explained = Later<Result<orchestrator::Explanation>>;
  const InFlight in_flight(context_.get());
  auto parsed = co_await Accept(call, openai::Kind::kRoute, in_flight.full(),
                                std::move(body));
  if (!parsed) co_return;
  const auto later = std::make_shared<Explained>(peer_->executor());
  context_->parts.orchestrator->Route(
      std::make_shared<core::Request>(std::move(parsed->request)),
      [later](Result<orchestrator::Explanation> result) {
        later->Set(std::move(result));
      });
  stop_ = [later](Error why) { later->Set(std::move(why)); };
  const auto result =
      co_await later->Get(call->begun + context_->options.request_timeout);
  stop_ = nullptr;
  Reply reply;
  if (result && result->has_value()) {
    reply.body = RouteJson(result->value());
  } else if (result) {
    call->error = result->error().message;
    reply = ErrorReply(result->error());
  } else {
    context_->traffic.Timeout("request");
    context_->parts.orchestrator->Cancel(call->id);
    reply =
        ErrorReply(Error{ErrorCode::kDeadline, "routing took too long", ""});
  }
  co_await SendReply(peer_.get(), call, std::move(reply));
}

net::awaitable<void> Session::Fleet(Call* call, bool drain, std::string body) {
  using Answered = Later<Result<std::string>>;
  const auto later = std::make_shared<Answered>(peer_->executor());
  orchestrator::Orchestrator* const orchestrator = context_->parts.orchestrator;
  const auto places = [later, orchestrator] {
    orchestrator->Places([later](std::vector<orchestrator::Place> all) {
      later->Set(FleetJson(all));
    });
  };
  const Result<DrainRequest> asked =
      drain ? ParseDrain(body) : Result<DrainRequest>(DrainRequest());
  if (!asked) {
    later->Set(asked.error());
  } else if (!drain) {
    places();
  } else if (call->key && call->key->account && !call->key->admin) {
    later->Set(Error{ErrorCode::kDenied,
                     "this API key may not do that: its line in the keys file "
                     "has no admin=yes",
                     "drained"});
  } else {
    orchestrator->Drain(asked->variant, asked->replica, asked->drained,
                        [later, places](Result<void> done) {
                          if (!done) return later->Set(done.error());
                          places();
                        });
  }
  const auto answer = co_await later->Get(Time::max());
  Reply reply;
  if (*answer) {
    reply.body = **answer;
  } else {
    call->error = answer->error().message;
    reply = ErrorReply(answer->error());
  }
  co_await SendReply(peer_.get(), call, std::move(reply));
}

Reply Session::Get(const Call& call) const {
  const Route& route = *FindRoute(call.head.path);
  Reply reply;
  std::vector<openai::Model> models;
  std::vector<std::string> names = {"auto"};
  int64_t newest = 0;
  const auto& allowed = call.key ? call.key->variants : nullptr;
  for (const core::Variant& variant :
       context_->parts.orchestrator->variants()) {
    if (names.back() == variant.name) continue;  // another of its replicas
    if (!core::Allows(allowed, variant.name)) continue;
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
       {"key", call.key ? call.key->name : ""},
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
