// SPDX-License-Identifier: Apache-2.0
//
// One connection: reads requests one after the other, finds their route,
// checks the key, and writes the answers.
//
// Thread safety: everything on the connection's strand; the methods of the
// second group post there and may be called from any thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "server/context.h"
#include "server/generation.h"
#include "server/peer.h"
#include "server/reply.h"
#include "server/routes.h"

namespace aio::server {

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(std::shared_ptr<Context> context,
          boost::asio::ip::tcp::socket socket);

  // Runs on the strand until the connection has ended, then calls `ended`.
  void Start(std::function<void()> ended);

  // Any thread. No further request is read; one that runs goes on.
  void Drain();
  // Ends what runs, telling the client why.
  void Stop(Error why);
  void Close();

 private:
  boost::asio::awaitable<void> Run();
  // False when the connection is to end.
  boost::asio::awaitable<bool> ServeOne();
  // What can be said without the body: an error, if it is one.
  std::optional<Reply> Check(Call* call, const Route* route);
  boost::asio::awaitable<void> Answer(Call* call, const Route& route,
                                      std::string body);
  boost::asio::awaitable<void> Generate(Call* call, openai::Kind kind,
                                        std::string body);
  boost::asio::awaitable<void> Fleet(Call* call, bool drain, std::string body);
  boost::asio::awaitable<void> Explain(Call* call, std::string body);
  boost::asio::awaitable<Result<openai::Parsed>> Parse(const Call& call,
                                                       openai::Kind kind,
                                                       std::string body);
  // Parses; nothing if the client has been told what is wrong. `full`: there
  // are too many requests already.
  boost::asio::awaitable<std::optional<openai::Parsed>> Accept(
      Call* call, openai::Kind kind, bool full, std::string body);
  // Why the key may not have this now; with the headers that say what is left.
  std::optional<Limited> Limit(Call* call, openai::Kind kind,
                               const core::Request& request);
  // The end of what Limit let in.
  void Settle(Call* call);
  Reply Get(const Call& call) const;
  void Record(const Call& call) const;

  std::shared_ptr<Context> context_;
  std::shared_ptr<Peer> peer_;
  bool unread_ = false;  // the client may be sending what nobody will read
  std::function<void(Error)> stop_;  // of the request that runs, if one does
};

}  // namespace aio::server
