// SPDX-License-Identifier: Apache-2.0
#include "upstream/names.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace aio::upstream {

using boost::asio::ip::tcp;

Lookup SystemLookup(boost::asio::any_io_executor io) {
  return [io](const std::string& host, const std::string& port, LookedUp done) {
    const auto resolver = std::make_shared<tcp::resolver>(io);
    resolver->async_resolve(host, port,
                            [resolver, done = std::move(done)](
                                const boost::system::error_code& error,
                                const tcp::resolver::results_type& results) {
                              if (error) {
                                return done(Error{ErrorCode::kUnavailable,
                                                  error.message(), "upstream"});
                              }
                              std::vector<Connection::Address> addresses;
                              for (const auto& entry : results) {
                                addresses.push_back(entry.endpoint());
                              }
                              done(std::move(addresses));
                            });
  };
}

std::vector<Connection::Address> Distinct(
    std::vector<Connection::Address> addresses) {
  const auto is_v4 = [](const Connection::Address& a) {
    return a.address().is_v4();
  };
  if (std::any_of(addresses.begin(), addresses.end(), is_v4)) {
    std::erase_if(addresses,
                  [&](const Connection::Address& a) { return !is_v4(a); });
  }
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()),
                  addresses.end());
  return addresses;
}

Names::Names(Options options, Lookup lookup, Executor* clock, Found found)
    : options_(std::move(options)),
      lookup_(std::move(lookup)),
      clock_(clock),
      found_(std::move(found)) {}

void Names::Start() {
  clock_->Post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->LookUp();
  });
}

void Names::LookUp() {
  lookup_(options_.host, options_.port,
          [weak = weak_from_this(), clock = clock_](
              const Result<std::vector<Connection::Address>>& addresses) {
            clock->Post([weak, addresses] {
              if (const auto self = weak.lock()) self->Take(addresses);
            });
          });
}

void Names::Take(Result<std::vector<Connection::Address>> addresses) {
  const bool found = addresses && !addresses->empty();
  if (found) {
    known_ = true;
    found_(Distinct(*std::move(addresses)));
  }
  if (found == failed_) {  // news
    Log(found ? LogLevel::kInfo : LogLevel::kWarning, "upstream's name",
        {{"host", options_.host},
         {"state", found ? "found again" : "not found"},
         {"error", addresses ? "" : addresses.error().message}});
  }
  failed_ = !found;
  clock_->PostAt(
      clock_->Now() + (known_ ? options_.every : options_.first_every),
      [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->LookUp();
      });
}

}  // namespace aio::upstream
