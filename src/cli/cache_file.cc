// SPDX-License-Identifier: Apache-2.0
#include "cli/cache_file.h"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <utility>

#include "base/atomic_file.h"
#include "base/random.h"
#include "config/text_file.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string CacheFolder() {
  const std::string cache = Variable("XDG_CACHE_HOME");
  // The specification wants relative ones ignored.
  if (cache.starts_with('/')) return cache + "/aio";
  const std::string home = Variable("HOME");
  return home.empty() ? "" : home + "/.cache/aio";
}

std::string CacheFile(const std::string& folder, const std::string& kind,
                      const std::string& key) {
  uint64_t h = Mix(key.size());
  for (const char c : key) h = Mix(h ^ static_cast<unsigned char>(c));
  return fmt::format("{}/{}-{:016x}.json", folder, kind, h);
}

Result<json::object> ReadCache(const std::string& folder,
                               const std::string& kind,
                               const std::string& key) {
  const std::string file = CacheFile(folder, kind, key);
  ASSIGN_OR_RETURN(const std::string text, config::ReadTextFile(file));
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error || !value.is_object()) {
    return Error{ErrorCode::kCorrupt, file + ": no JSON object", ""};
  }
  json::object& object = value.get_object();
  const json::value* kept = object.if_contains("key");
  if (kept == nullptr || !kept->is_string() || kept->get_string() != key) {
    return Error{ErrorCode::kCorrupt, file + ": of another model or machine",
                 ""};
  }
  return std::move(object);
}

Result<void> WriteCache(const std::string& folder, const std::string& kind,
                        const std::string& key, json::object content) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return WriteError(folder, error.value());
  content["key"] = key;
  const std::string text = json::serialize(content) + "\n";
  ASSIGN_OR_RETURN(AtomicFile file,
                   AtomicFile::Create(CacheFile(folder, kind, key)));
  RETURN_IF_ERROR(file.Append(std::as_bytes(std::span(text))));
  return file.Commit();
}

}  // namespace aio::cli
