// SPDX-License-Identifier: Apache-2.0
//
// `aio bench`: measurements on the user's own machine and models, one
// subcommand a question.
#include <CLI/CLI.hpp>

#include "cli/commands.h"

namespace aio::cli {

void AddBench(CLI::App& app, int* exit_code) {
  CLI::App* bench = app.add_subcommand(
      "bench", "Measure the engine, policies and probes on this machine");
  bench->require_subcommand(1);
  AddBenchDecode(*bench, exit_code);
  AddBenchPrefill(*bench, exit_code);
  AddBenchBatch(*bench, exit_code);
  AddBenchDecide(*bench, exit_code);
  AddBenchLoad(*bench, exit_code);
  AddBenchAttention(*bench, exit_code);
  AddBenchMixed(*bench, exit_code);
  AddBenchPair(*bench, exit_code);
  AddBenchProbe(*bench, exit_code);
  AddBenchQuality(*bench, exit_code);
  AddBenchReuse(*bench, exit_code);
  AddBenchRoute(*bench, exit_code);
  AddBenchSimError(*bench, exit_code);
  AddBenchSpec(*bench, exit_code);
}

}  // namespace aio::cli
