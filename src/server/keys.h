// SPDX-License-Identifier: Apache-2.0
//
// API keys: a file with one key a line and what it may do behind it
// (docs/keys.md). Only hashes are held, and a key is compared with all of them
// in constant time, so that the time of a refusal tells nothing about the keys.
//
// Thread safety: const after Load and Continue, but for the accounts, which any
// thread may use.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/limits.h"

namespace aio::server {

struct Key {
  std::string name;     // for metrics and logs; empty where there are no keys
  uint64_t tenant = 0;  // the first 64 bits of the key's hash
  KeyLimits limits;
  double weight = 1;   // its share where requests wait
  bool admin = false;  // it may change what serves (/v1/fleet)
  // The only variants that it may use; null: all.
  std::shared_ptr<const std::vector<std::string>> variants;
  std::shared_ptr<Account> account;  // null where there are no keys
};

class Keys {
 public:
  // No keys: everyone is let in, as tenant 0.
  Keys() = default;

  // `variants`: all there are. Empty lines and lines that begin with # are
  // skipped. kNotFound if the file cannot be opened; kInvalidArgument if a line
  // is wrong, naming it and what would have been right but nothing that may be
  // a key; or if it holds no key, which would else look like a protected
  // server.
  static Result<Keys> Load(const std::string& file,
                           const std::vector<std::string>& variants);
  static Result<Keys> Parse(std::string_view text,
                            const std::vector<std::string>& variants);

  // Keys that `old` has too go on with the accounts they have there, within the
  // limits they have here.
  void Continue(const Keys& old, Time now);

  bool empty() const { return keys_.empty(); }

  // The key that `authorization` ("Bearer <key>") carries; null if it is none
  // of ours.
  std::shared_ptr<const Key> Find(std::string_view authorization) const;

 private:
  using Hash = std::array<unsigned char, 32>;  // SHA-256
  std::vector<Hash> hashes_;                   // [key]
  std::vector<std::shared_ptr<Key>> keys_;
};

}  // namespace aio::server
