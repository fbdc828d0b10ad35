// SPDX-License-Identifier: Apache-2.0
//
// Measured step tables, kept between starts (cli/cache_file.h), for each model
// on each machine.
//
// Thread safety: as cache files.
#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "base/result.h"
#include "engine/measure_steps.h"

namespace aio::cli {

boost::json::object ToJson(const cost::StepTable& table);
// kCorrupt if it is no table.
Result<cost::StepTable> StepTableOf(const boost::json::object& object);

// kNotFound; kCorrupt for what is no table, or the table of another key.
Result<engine::MeasuredSteps> ReadSteps(const std::string& folder,
                                        const std::string& key);

// Makes the folder if need be. kUnavailable for a table that is not steady;
// else errors name what could not be written.
Result<void> WriteSteps(const std::string& folder, const std::string& key,
                        const engine::MeasuredSteps& steps);

}  // namespace aio::cli
