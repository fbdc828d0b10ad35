// SPDX-License-Identifier: Apache-2.0
//
// `aio bench`: comparisons on the user's own machine and models, one
// subcommand a question.
#include <CLI/CLI.hpp>

#include "cli/commands.h"

namespace aio::cli {

void AddBench(CLI::App& app, int* exit_code) {
  CLI::App* bench = app.add_subcommand(
      "bench", "Compare policies and probes on this machine");
  bench->require_subcommand(1);
  AddBenchMixed(*bench, exit_code);
  AddBenchProbe(*bench, exit_code);
}

}  // namespace aio::cli
