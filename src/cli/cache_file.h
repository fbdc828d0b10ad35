// SPDX-License-Identifier: Apache-2.0
//
// What was measured on this machine, kept between starts: a small JSON file for
// each kind and key. The file holds the whole key, which a reader compares.
//
// Thread safety: free functions, no state; several processes may share a
// folder.
#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "base/result.h"

namespace aio::cli {

// $XDG_CACHE_HOME/aio, ~/.cache/aio, or "" if the environment has neither.
std::string CacheFolder();

// Where it is kept: FOLDER/KIND-HASH.json.
std::string CacheFile(const std::string& folder, const std::string& kind,
                      const std::string& key);

// kNotFound; kCorrupt for what is no JSON object, or of another key.
Result<boost::json::object> ReadCache(const std::string& folder,
                                      const std::string& kind,
                                      const std::string& key);

// Makes the folder if need be, and writes whole or not at all. Errors name what
// could not be written.
Result<void> WriteCache(const std::string& folder, const std::string& kind,
                        const std::string& key, boost::json::object content);

}  // namespace aio::cli
