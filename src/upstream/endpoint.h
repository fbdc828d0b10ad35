// SPDX-License-Identifier: Apache-2.0
//
// Where an upstream is: the parts of its URL that a connection and a request
// line need.
//
// Thread safety: plain data, free functions.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace aio::upstream {

struct Endpoint {
  std::string host;       // name or address, IPv6 without brackets
  std::string port;       // decimal
  std::string authority;  // as the Host header wants it
  std::string path;      // "/v1": in front of "/chat/completions"; may be empty
  bool tls = false;      // https
  bool literal = false;  // `host` is an address, not a name
};

// "http://host:port/v1", or https. kInvalidArgument for anything that is no
// such URL, and for a user, a query or a fragment in it.
Result<Endpoint> ParseEndpoint(std::string_view url);

}  // namespace aio::upstream
