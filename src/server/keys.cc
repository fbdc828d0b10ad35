// SPDX-License-Identifier: Apache-2.0
#include "server/keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <utility>

#include "server/key_line.h"

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

std::array<unsigned char, 32> HashOf(std::string_view text) {
  std::array<unsigned char, 32> hash;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         hash.data());
  return hash;
}

}  // namespace

Result<Keys> Keys::Load(const std::string& file,
                        const std::vector<std::string>& variants) {
  std::ifstream in(file, std::ios::binary);
  std::string text(kFileBytesMax + 1, '\0');
  if (!in) {
    return Error{ErrorCode::kNotFound,
                 "cannot open the API keys '" + file + "'", "server.api_keys"};
  }
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  auto keys = Parse(text, variants);
  if (keys) return keys;
  Error error = keys.error();
  error.message = file + ": " + error.message;
  return error;
}

Result<Keys> Keys::Parse(std::string_view text,
                         const std::vector<std::string>& variants) {
  Keys keys;
  const auto wrong = [](std::string message) {
    return Error{ErrorCode::kInvalidArgument, std::move(message),
                 "server.api_keys"};
  };
  if (text.size() > kFileBytesMax) return wrong("more than 1 MiB");
  std::map<Hash, int> lines;              // of keys
  std::map<std::string, int> name_lines;  // of names
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.starts_with('#')) continue;
    const std::string where = "line " + std::to_string(number) + ": ";
    auto parsed = ParseKeyLine(line, variants);
    if (!parsed) return wrong(where + parsed.error().message);
    if (keys.keys_.size() >= kKeysMax) return wrong("more than 4096 API keys");
    Key key = std::move(parsed->key);
    if (key.name.empty()) {
      key.name = "key" + std::to_string(keys.keys_.size() + 1);
    }
    const Hash hash = HashOf(parsed->secret);
    const auto [same, new_key] = lines.emplace(hash, number);
    const auto [named, new_name] = name_lines.emplace(key.name, number);
    if (!new_key || !new_name) {
      return wrong(where + (new_key ? "the name" : "the key") + " of line " +
                   std::to_string(new_key ? named->second : same->second) +
                   " again");
    }
    std::memcpy(&key.tenant, hash.data(), sizeof(key.tenant));
    key.account = std::make_shared<Account>(key.limits);
    keys.hashes_.push_back(hash);
    keys.keys_.push_back(std::make_shared<Key>(std::move(key)));
  }
  if (keys.empty()) return wrong("holds no API key");
  return keys;
}

void Keys::Continue(const Keys& old, Time now) {
  std::map<Hash, std::shared_ptr<Account>> accounts;
  for (size_t i = 0; i < old.keys_.size(); ++i) {
    accounts[old.hashes_[i]] = old.keys_[i]->account;
  }
  for (size_t i = 0; i < keys_.size(); ++i) {
    const auto had = accounts.find(hashes_[i]);
    if (had == accounts.end()) continue;
    keys_[i]->account = had->second;
    keys_[i]->account->Set(keys_[i]->limits, now);
  }
}

std::shared_ptr<const Key> Keys::Find(std::string_view authorization) const {
  if (empty()) return std::make_shared<const Key>();
  const auto token = BearerToken(authorization);
  if (!token) return nullptr;
  const Hash hash = HashOf(*token);
  std::shared_ptr<const Key> found;
  for (size_t i = 0; i < hashes_.size(); ++i) {  // all of them, found or not
    if (CRYPTO_memcmp(hashes_[i].data(), hash.data(), hash.size()) == 0) {
      found = keys_[i];
    }
  }
  return found;
}

}  // namespace aio::server
