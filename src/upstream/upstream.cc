// SPDX-License-Identifier: Apache-2.0
#include "upstream/upstream.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace aio::upstream {
namespace {

using Address = Connection::Address;

// A name with many addresses; this machine has two, and is one.
bool IsShared(const Endpoint& endpoint) {
  return !endpoint.literal && endpoint.host != "localhost";
}

}  // namespace

std::vector<std::optional<Address>> Placed(
    std::vector<std::optional<Address>> before,
    const std::vector<Address>& now) {
  for (auto& place : before) {
    if (place && std::find(now.begin(), now.end(), *place) == now.end()) {
      place.reset();
    }
  }
  for (const Address& address : now) {
    if (std::find(before.begin(), before.end(), address) != before.end()) {
      continue;
    }
    const auto free = std::find(before.begin(), before.end(), std::nullopt);
    if (free == before.end()) break;
    *free = address;
  }
  return before;
}

Result<std::unique_ptr<Upstream>> Upstream::Make(
    Options options, boost::asio::any_io_executor io, Executor* clock) {
  std::unique_ptr<Upstream> upstream(new Upstream());
  ASSIGN_OR_RETURN(const Endpoint first, ParseEndpoint(options.urls.front()));
  const bool shared = options.urls.size() == 1 && options.places > 1 &&
                      IsShared(first) && !options.backend.given;
  if (!shared) {
    for (size_t i = 0; i < options.urls.size(); ++i) {
      RETURN_IF_ERROR(upstream->Add(options, i, io, clock));
    }
    return upstream;
  }
  const std::string url = options.urls.front();
  options.urls.assign(static_cast<size_t>(options.places), url);
  options.backend.given = true;
  for (size_t i = 0; i < options.urls.size(); ++i) {
    RETURN_IF_ERROR(upstream->Add(options, i, io, clock));
  }
  Names::Options found;
  found.host = first.host;
  found.port = first.port;
  found.every = options.backend.lookup_every;
  const auto known = std::make_shared<std::vector<std::optional<Address>>>(
      options.urls.size());
  const auto places = upstream->places_;
  upstream->names_ = std::make_shared<Names>(
      found, options.backend.lookup ? options.backend.lookup : SystemLookup(io),
      clock, [known, places, host = first.host](std::vector<Address> now) {
        if (now.size() > places.size()) {
          Log(LogLevel::kWarning, "more addresses than replicas_max",
              {{"host", host},
               {"addresses", std::to_string(now.size())},
               {"replicas_max", std::to_string(places.size())}});
        }
        *known = Placed(std::move(*known), now);
        for (size_t i = 0; i < places.size(); ++i) {
          const auto& address = (*known)[i];
          places[i].backend->SetAddresses(address
                                              ? std::vector<Address>{*address}
                                              : std::vector<Address>());
        }
      });
  upstream->names_->Start();
  return upstream;
}

Result<void> Upstream::Add(const Options& options, size_t index,
                           const boost::asio::any_io_executor& io,
                           Executor* clock) {
  ASSIGN_OR_RETURN(const Endpoint endpoint, ParseEndpoint(options.urls[index]));
  Place place;
  if (options.urls.size() > 1) {
    place.name = endpoint.authority;
    if (options.backend.given) place.name += "#" + std::to_string(index);
  }
  OpenAiBackend::Options backend = options.backend;
  backend.url = options.urls[index];
  backend.replica.labels = {
      {"variant", options.variant},
      {"replica", place.name.empty() ? endpoint.authority : place.name}};
  ASSIGN_OR_RETURN(place.backend,
                   OpenAiBackend::Make(std::move(backend), io, clock));
  places_.push_back(std::move(place));
  return {};
}

}  // namespace aio::upstream
