// SPDX-License-Identifier: Apache-2.0
//
// Measured step tables, kept between starts: a small JSON file for each model
// on each machine. The file holds the whole key, which a reader compares.
//
// Thread safety: free functions, no state; several processes may share a
// folder.
#pragma once

#include <string>

#include "base/result.h"
#include "engine/measure_steps.h"

namespace aio::cli {

// $XDG_CACHE_HOME/aio, ~/.cache/aio, or "" if the environment has neither.
std::string CacheFolder();

// Where the table of `key` is kept.
std::string StepFile(const std::string& folder, const std::string& key);

// kNotFound; kCorrupt for what is no table, or the table of another key.
Result<engine::MeasuredSteps> ReadSteps(const std::string& folder,
                                        const std::string& key);

// Makes the folder if need be. kUnavailable for a table that is not steady; else
// errors name what could not be written.
Result<void> WriteSteps(const std::string& folder, const std::string& key,
                        const engine::MeasuredSteps& steps);

}  // namespace aio::cli
