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

Error About(std::string_view url, ErrorCode code, std::string_view why) {
  std::string message = "upstream URL ";
  message.append(url).append(": ").append(why);
  return Error{code, std::move(message), "upstream"};
}

Error Invalid(std::string_view url, std::string_view why) {
  return About(url, ErrorCode::kInvalidArgument, why);
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
  if (view.scheme() == "https") {
    return About(url, ErrorCode::kUnsupported,
                 "https is not supported yet; put a proxy that speaks TLS in "
                 "between");
  }
  if (view.scheme() != "http")
    return Invalid(url, "does not begin with http://");
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
  endpoint.port = view.has_port() ? std::string(view.port()) : "80";
  endpoint.authority = std::string(view.encoded_host_and_port());
  endpoint.path = std::string(view.encoded_path());
  while (endpoint.path.ends_with('/')) endpoint.path.pop_back();
  return endpoint;
}

}  // namespace aio::upstream
