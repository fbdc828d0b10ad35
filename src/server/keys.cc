// SPDX-License-Identifier: Apache-2.0
#include "server/keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <cstring>
#include <fstream>

namespace aio::server {
namespace {

constexpr size_t kFileBytesMax = size_t{1} << 20;
constexpr size_t kKeysMax = 4096;

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t from = text.find_first_not_of(kSpace);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(kSpace) - from + 1);
}

// The scheme's name is case-insensitive (RFC 9110, 11.1).
std::optional<std::string_view> BearerToken(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size()) return std::nullopt;
  for (size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    if (lower != kScheme[i]) return std::nullopt;
  }
  return Trim(authorization.substr(kScheme.size()));
}

}  // namespace

Result<Keys> Keys::Load(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::string text(kFileBytesMax + 1, '\0');
  if (!in) {
    return Error{ErrorCode::kNotFound,
                 "cannot open the API keys '" + file + "'", "server.api_keys"};
  }
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  auto keys = Parse(text);
  if (keys) return keys;
  Error error = keys.error();
  error.message = file + ": " + error.message;
  return error;
}

Result<Keys> Keys::Parse(std::string_view text) {
  Keys keys;
  const Error wrong{ErrorCode::kInvalidArgument, "", "server.api_keys"};
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = Trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line.starts_with('#')) continue;
    Hash hash;
    SHA256(reinterpret_cast<const unsigned char*>(line.data()), line.size(),
           hash.data());
    keys.hashes_.push_back(hash);
    if (keys.hashes_.size() > kKeysMax) {
      return Error{wrong.code, "more than 4096 API keys", wrong.param};
    }
  }
  if (keys.empty()) return Error{wrong.code, "holds no API key", wrong.param};
  return keys;
}

std::optional<uint64_t> Keys::Tenant(std::string_view authorization) const {
  if (hashes_.empty()) return 0;
  const auto token = BearerToken(authorization);
  if (!token) return std::nullopt;
  Hash hash;
  SHA256(reinterpret_cast<const unsigned char*>(token->data()), token->size(),
         hash.data());
  bool found = false;
  for (const Hash& known : hashes_) {  // all of them, found or not
    found |= CRYPTO_memcmp(known.data(), hash.data(), hash.size()) == 0;
  }
  if (!found) return std::nullopt;
  uint64_t tenant = 0;
  std::memcpy(&tenant, hash.data(), sizeof(tenant));
  return tenant;
}

}  // namespace aio::server
