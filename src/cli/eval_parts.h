// SPDX-License-Identifier: Apache-2.0
//
// What `aio eval` and `aio bench` share: who runs Python tests, and the words
// by which a results file tells whether two runs belong together.
//
// Thread safety: free functions, no state.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/graph.h"
#include "config/config.h"
#include "eval/python_runner.h"
#include "eval/task.h"

namespace aio::cli {

// Null if no task has Python tests. Without isolation an error that names
// --unsafe-python, unless `unsafe` allows it; then a warning is printed.
Result<std::unique_ptr<eval::PythonRunner>> MakePython(
    const std::vector<eval::Task>& tasks, bool unsafe);

// variant -> what identifies the model behind it: our fingerprint of a local
// one; of an upstream its address and the name it is asked for, which is all
// that can be known. REQUIRES: graph.WarmUp() has run.
std::map<std::string, std::string> VariantFingerprints(
    const config::Config& config, const Graph& graph);

// The same of a policy over all variants: those, the rule's settings and the
// probes.
std::string PolicyFingerprint(const config::Config& config, const Graph& graph);

}  // namespace aio::cli
