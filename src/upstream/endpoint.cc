// SPDX-License-Identifier: Apache-2.0
#include "upstream/endpoint.h"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>
#include <cstdint>
#include <system_error>
#include <utility>

namespace aio::upstream {
namespace {

Error Invalid(std::string_view url, std::string_view why) {
  std::string message = "upstream URL ";
  message.append(url).append(": ").append(why);
  return Error{ErrorCode::kInvalidArgument, std::move(message), "upstream"};
}

bool IsPort(std::string_view text) {
  uint16_t port = 0;
  const auto end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, port);
  return error == std::errc() && at == end && port != 0;
}

}  // namespace

Result<Endpoint> ParseEndpoint(std::string_view url) {
  const auto parsed = boost::urls::parse_uri(url);
  if (!parsed) return Invalid(url, "no valid URL; http://host:port/v1 is one");
  const boost::urls::url_view& view = *parsed;
  const bool tls = view.scheme() == "https";
  if (!tls && view.scheme() != "http") {
    return Invalid(url, "begins neither with http:// nor with https://");
  }
  if (view.encoded_host().empty()) return Invalid(url, "names no host");
  if (view.has_userinfo()) {
    return Invalid(url, "holds a user name; keys have their own setting");
  }
  if (view.has_query() || view.has_fragment()) {
    return Invalid(url, "has a query or a fragment");
  }
  if (view.has_port() && !IsPort(view.port())) {
    return Invalid(url, "has no valid port");
  }
  Endpoint endpoint;
  endpoint.host = view.host_address();
  endpoint.tls = tls;
  endpoint.literal = view.host_type() != boost::urls::host_type::name;
  endpoint.port = view.has_port() ? std::string(view.port())
                  : tls           ? "443"
                                  : "80";
  endpoint.authority = std::string(view.encoded_host_and_port());
  endpoint.path = std::string(view.encoded_path());
  while (endpoint.path.ends_with('/')) endpoint.path.pop_back();
  return endpoint;
}

}  // namespace aio::upstream
