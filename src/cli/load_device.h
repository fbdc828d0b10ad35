// SPDX-License-Identifier: Apache-2.0
//
// Model files -> what the engine of one device needs. Opens and checks every
// file before the first allocation, plans the memory, then loads.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/machine.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "config/config.h"
#include "core/backend.h"
#include "engine/local_backend.h"

namespace aio::cli {

struct LoadedDevice {
  std::vector<engine::LocalBackend::Resident> residents;
  std::vector<core::Variant> variants;  // that these serve; without backend
};

// Variants of one file share its weights if one of them names a view.
// Errors name the file and the variant. `say` gets the memory plan and a line
// for each model loaded; how far one is stands on standard error meanwhile.
Result<LoadedDevice> LoadDevice(
    const std::string& name, const config::Device& device,
    const std::vector<std::pair<std::string, config::Variant>>& variants,
    const Machine& machine, ThreadPool* pool,
    const std::function<void(const std::string&)>& say);

}  // namespace aio::cli
