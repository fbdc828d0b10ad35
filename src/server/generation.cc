// SPDX-License-Identifier: Apache-2.0
#include "server/generation.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <ctime>
#include <utility>

#include "base/log.h"
#include "openai/error.h"
#include "openai/sse.h"

namespace aio::server {

namespace net = boost::asio;

namespace {

// A plain answer is held whole; no model's context comes near this.
constexpr int64_t kPlainBytesMax = int64_t{64} << 20;

Time Now() { return std::chrono::steady_clock::now(); }

void AddCallFields(const Call& call, Reply* reply) {
  reply->fields.emplace_back("x-request-id", call.id);
  reply->fields.insert(reply->fields.end(), call.fields.begin(),
                       call.fields.end());
}

}  // namespace

net::awaitable<void> SendReply(Peer* peer, Call* call, Reply reply) {
  call->status = reply.status;
  AddCallFields(*call, &reply);
  Transport transport;
  transport.keep_alive = call->keep_alive;
  transport.length = reply.body.size();
  std::string text = HeadText(reply, transport);
  if (call->head.method != "HEAD") text += reply.body;
  const bool sent = co_await peer->Write(text);
  if (sent) co_return;
  call->keep_alive = false;
  if (call->error.empty()) call->error = "the client did not take the answer";
}

Generation::Generation(std::shared_ptr<Context> context,
                       std::shared_ptr<Peer> peer, openai::Parsed parsed,
                       Call* call)
    : context_(std::move(context)),
      peer_(std::move(peer)),
      request_(std::make_shared<core::Request>(std::move(parsed.request))),
      stream_(parsed.stream),
      include_usage_(parsed.include_usage),
      call_(call),
      deadline_(call->begun + context_->options.request_timeout),
      beat_(Now() + context_->options.keep_alive_interval),
      plain_(request_->choices) {
  // A stream that overflows is one whose client does not read: its connection
  // is closed at once, which also ends the write that hangs on it.
  auto overflow = [peer = peer_, stream = stream_] {
    if (stream) net::post(peer->executor(), [peer] { peer->Close(); });
  };
  inbox_ = std::make_shared<Inbox>(
      peer_->executor(),
      stream_ ? context_->options.write_buffer_bytes_max : kPlainBytesMax,
      std::move(overflow));
}

net::awaitable<void> Generation::Run() {
  peer_->Watch([inbox = inbox_] {
    inbox->Stop(
        Error{ErrorCode::kCancelled, "the client closed the connection", ""});
  });
  context_->parts.orchestrator->Handle(request_, inbox_);
  while (!over_) {
    Inbox::Batch batch = inbox_->Take();
    Absorb(&batch);
    if (auto why = Broken(batch)) {
      context_->parts.orchestrator->Cancel(request_->id);
      co_await Fail(*std::move(why));
    } else if (batch.done && batch.done->has_value()) {
      co_await Finish(batch.done->value());
    } else if (batch.done) {
      co_await Fail(batch.done->error());
    } else if (!out_.empty()) {
      co_await Flush(false);
    } else if (stream_ && Now() >= beat_) {
      out_ = openai::kSseKeepAlive;
      co_await Flush(false);
    } else {
      co_await inbox_->Wait(stream_ ? std::min(beat_, deadline_) : deadline_);
    }
  }
  co_await peer_->Unwatch();
  if (context_->parts.log_prompts) {
    Log(LogLevel::kInfo, "answer", {{"id", call_->id}, {"text", said_}});
  }
}

void Generation::AbsorbServed(const core::Served& served) {
  call_->served = served;
  head_ = openai::Head{
      request_->id,
      request_->chat,
      static_cast<int64_t>(std::time(nullptr)),
      served.variant,
      served.fingerprint,
      (request_->needs & core::Bit(core::Feature::kEmbeddings)) != 0};
  events_.emplace(head_, request_->choices, include_usage_);
  if (!head_sent_) return;
  // A keep-alive comment was first, so the headers are gone already; people
  // who look at the stream still see who answers.
  Reply late;
  AddServed(&late);
  for (const auto& [name, value] : late.fields) {
    out_ += ": " + name + ": " + HeaderValue(value) + "\n";
  }
  out_ += "\n";
}

void Generation::Absorb(Inbox::Batch* batch) {
  if (batch->served) AbsorbServed(*batch->served);
  const bool news =
      !batch->deltas.empty() || (batch->done && batch->done->has_value());
  // A backend that answers without OnStart is answered for, not crashed on.
  if (news && !events_) AbsorbServed(core::Served());
  if (!batch->deltas.empty() && !call_->first_token) {
    call_->first_token = Now() - call_->begun;
    context_->traffic.FirstToken(*call_->first_token);
  }
  call_->pieces += static_cast<int64_t>(batch->deltas.size());
  for (core::Delta& delta : batch->deltas) {
    if (context_->parts.log_prompts) said_ += delta.text;
    if (stream_) {
      events_->Delta(delta, &out_);
    } else {
      plain_.Delta(std::move(delta));
    }
  }
}

std::optional<Error> Generation::Broken(const Inbox::Batch& batch) {
  // First: closing the connection for it looks like the client leaving.
  if (batch.overflow && stream_) {
    slow_ = true;
    return Error{ErrorCode::kCancelled, "the client does not read", ""};
  }
  if (batch.stop) {
    gone_ = batch.stop->code == ErrorCode::kCancelled;
    return batch.stop;
  }
  if (batch.overflow) {
    return Error{ErrorCode::kInternal, "the answer is too large", ""};
  }
  if (!batch.done && Now() >= deadline_) {
    context_->traffic.Timeout("request");
    return Error{ErrorCode::kDeadline,
                 "the request took longer than server.request_timeout", ""};
  }
  return std::nullopt;
}

net::awaitable<void> Generation::Finish(const core::Done& done) {
  call_->usage = done.usage;
  if (stream_) {
    events_->Done(done, &out_);
    co_await Flush(true);
  } else {
    Reply reply;
    reply.body = plain_.Write(head_, done);
    co_await SendPlain(std::move(reply));
  }
  over_ = true;
}

net::awaitable<void> Generation::Fail(Error error) {
  call_->error = error.message;
  over_ = true;
  if (gone_ || slow_) {
    GiveUp();
    co_return;
  }
  // Nobody but us cancels: to the client it is one more way to be unavailable.
  if (error.code == ErrorCode::kCancelled) error.code = ErrorCode::kUnavailable;
  if (!head_sent_) {
    co_await SendPlain(
        ErrorReply(error, error.code == ErrorCode::kOverloaded
                              ? context_->parts.orchestrator->retry_seconds()
                              : 1));
    co_return;
  }
  // Without [DONE], so that no reader takes the text so far for the whole.
  out_ += openai::SseData(openai::ErrorJson(error));
  co_await Flush(true);
}

void Generation::GiveUp() {
  if (slow_) {
    peer_->Close();
    context_->traffic.SlowClient();
  } else {
    context_->traffic.Disconnect();
  }
  if (call_->error.empty()) {
    call_->error =
        slow_ ? "the client does not read" : "the client closed the connection";
  }
  call_->status = 499;
  call_->keep_alive = false;
  over_ = true;
}

net::awaitable<void> Generation::SendPlain(Reply reply) {
  AddServed(&reply);
  co_await SendReply(peer_.get(), call_, std::move(reply));
}

void Generation::AddServed(Reply* reply) const {
  if (!call_->served) return;
  const core::Served& served = *call_->served;
  reply->fields.emplace_back("x-aio-variant", served.variant);
  reply->fields.emplace_back("x-aio-intent", served.intent);
  reply->fields.emplace_back("x-aio-strategy",
                             std::string(core::Name(served.strategy)));
  reply->fields.emplace_back("x-aio-reason", served.reason);
  if (served.seed) {
    reply->fields.emplace_back("x-aio-seed", std::to_string(*served.seed));
  }
  if (served.thinking) {
    reply->fields.emplace_back("x-aio-thinking",
                               std::string(core::Name(*served.thinking)));
  }
  if (!served.deterministic) {
    reply->fields.emplace_back("x-aio-deterministic", "false");
  }
}

Reply Generation::StreamHead() const {
  Reply reply;
  reply.type = "text/event-stream; charset=utf-8";
  reply.fields.emplace_back("Cache-Control", "no-cache");
  reply.fields.emplace_back("X-Accel-Buffering", "no");  // nginx: pass it on
  AddCallFields(*call_, &reply);
  AddServed(&reply);
  return reply;
}

net::awaitable<void> Generation::Flush(bool last) {
  const bool chunked = call_->head.chunks;
  std::string text;
  if (!std::exchange(head_sent_, true)) {
    call_->status = 200;
    if (!chunked) call_->keep_alive = false;  // its end is the connection's
    Transport transport;
    transport.framing = chunked ? Framing::kChunked : Framing::kUntilClose;
    transport.keep_alive = call_->keep_alive;
    text = HeadText(StreamHead(), transport);
  }
  if (!chunked) {
    text += out_;
  } else if (!out_.empty()) {
    AppendChunk(out_, &text);
  }
  if (chunked && last) text += kLastChunk;
  out_.clear();
  const bool sent = co_await peer_->Write(text);
  beat_ = Now() + context_->options.keep_alive_interval;
  if (sent) co_return;
  context_->parts.orchestrator->Cancel(request_->id);
  slow_ = peer_->timed_out() || inbox_->Take().overflow;
  GiveUp();
}

}  // namespace aio::server
