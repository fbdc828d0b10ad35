// SPDX-License-Identifier: Apache-2.0
//
// One chat or text completion from the orchestrator to the client, plain or
// streamed: takes what the Inbox has, writes it, and gives up when the client
// goes away, reads too slowly, or time is over.
//
// Thread safety: none; lives on the connection's strand.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

#include "openai/request.h"
#include "openai/write.h"
#include "server/context.h"
#include "server/inbox.h"
#include "server/peer.h"
#include "server/reply.h"

namespace aio::server {

// A request on its way through a connection, and how it went: what the log
// line says.
struct Call {
  std::string id;
  RequestHead head;
  std::string_view route;          // a name from the table of routes
  std::shared_ptr<const Key> key;  // null: none is needed
  Ticket ticket;
  Fields fields;  // that its response has, however it ends
  Time begun{};
  bool keep_alive = true;

  int status = 0;     // as sent; 499 if the client went away
  std::string error;  // also of a stream whose status was 200
  std::optional<core::Served> served;
  core::Usage usage;
  int64_t pieces = 0;  // of answer that came in, about a token each
  std::optional<Duration> first_token;
};

class Generation {
 public:
  // `call` must outlive this.
  Generation(std::shared_ptr<Context> context, std::shared_ptr<Peer> peer,
             openai::Parsed parsed, Call* call);

  // Writes the whole response. The connection is closed, or call->keep_alive
  // false, if it cannot serve another request.
  boost::asio::awaitable<void> Run();

  // Its Stop ends the generation from outside.
  std::shared_ptr<Inbox> inbox() const { return inbox_; }

 private:
  void Absorb(Inbox::Batch* batch);
  void AbsorbServed(const core::Served& served);
  std::optional<Error> Broken(const Inbox::Batch& batch);
  boost::asio::awaitable<void> Finish(const core::Done& done);
  boost::asio::awaitable<void> Fail(Error error);
  boost::asio::awaitable<void> Flush(bool last);
  boost::asio::awaitable<void> SendPlain(Reply reply);
  Reply StreamHead() const;
  void AddServed(Reply* reply) const;
  void GiveUp();

  std::shared_ptr<Context> context_;
  std::shared_ptr<Peer> peer_;
  std::shared_ptr<const core::Request> request_;
  const bool stream_;
  const bool include_usage_;
  Call* call_;
  std::shared_ptr<Inbox> inbox_;
  Time deadline_;
  Time beat_;  // when a keep-alive comment is due
  openai::Head head_;
  std::optional<openai::StreamWriter> events_;
  openai::PlainWriter plain_;
  std::string out_;   // events not yet sent
  std::string said_;  // the text so far, if it is to be logged
  bool head_sent_ = false;
  bool gone_ = false;  // the client has closed the connection
  bool slow_ = false;  // the client does not read
  bool over_ = false;
};

// Writes a whole response, without its body for HEAD.
boost::asio::awaitable<void> SendReply(Peer* peer, Call* call, Reply reply);

}  // namespace aio::server
