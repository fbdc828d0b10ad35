// SPDX-License-Identifier: Apache-2.0
//
// API keys: a file with one key a line. Only hashes are held, and a key is
// compared with all of them in constant time, so that the time of a refusal
// tells nothing about the keys.
//
// Thread safety: const after Load.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace aio::server {

class Keys {
 public:
  // No keys: everyone is let in, as tenant 0.
  Keys() = default;

  // Empty lines and lines that begin with # are skipped. kNotFound if the file
  // cannot be opened; kInvalidArgument if it holds no key, which would else
  // look like a protected server.
  static Result<Keys> Load(const std::string& file);
  static Result<Keys> Parse(std::string_view text);

  bool empty() const { return hashes_.empty(); }

  // The tenant whose key `authorization` ("Bearer <key>") carries; nothing if
  // it is none of ours.
  std::optional<uint64_t> Tenant(std::string_view authorization) const;

 private:
  using Hash = std::array<unsigned char, 32>;  // SHA-256
  std::vector<Hash> hashes_;
};

}  // namespace aio::server
