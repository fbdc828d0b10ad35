// SPDX-License-Identifier: Apache-2.0
//
// The subcommands of `aio`, one file each. Each function adds its own command
// to the app; when CLI11 has parsed it, the command runs and leaves the exit
// code of the process in `*exit_code` (0 worked, 1 failed, 2 wrong usage).
#pragma once

namespace CLI {
class App;
}  // namespace CLI

namespace aio::cli {

void AddBench(CLI::App& app, int* exit_code);
void AddCalibrate(CLI::App& app, int* exit_code);
void AddChat(CLI::App& app, int* exit_code);
void AddEval(CLI::App& app, int* exit_code);
void AddGenerate(CLI::App& app, int* exit_code);
void AddInspect(CLI::App& app, int* exit_code);
void AddPack(CLI::App& app, int* exit_code);
void AddReplay(CLI::App& app, int* exit_code);
void AddDoctor(CLI::App& app, int* exit_code);
void AddRoute(CLI::App& app, int* exit_code);
void AddServe(CLI::App& app, int* exit_code);
void AddSimulate(CLI::App& app, int* exit_code);
void AddTokenize(CLI::App& app, int* exit_code);

// The subcommands of `aio bench`.
void AddBenchAttention(CLI::App& bench, int* exit_code);
void AddBenchBatch(CLI::App& bench, int* exit_code);
void AddBenchDecode(CLI::App& bench, int* exit_code);
void AddBenchDecide(CLI::App& bench, int* exit_code);
void AddBenchLoad(CLI::App& bench, int* exit_code);
void AddBenchMixed(CLI::App& bench, int* exit_code);
void AddBenchPair(CLI::App& bench, int* exit_code);
void AddBenchPrefill(CLI::App& bench, int* exit_code);
void AddBenchProbe(CLI::App& bench, int* exit_code);
void AddBenchQuality(CLI::App& bench, int* exit_code);
void AddBenchReuse(CLI::App& bench, int* exit_code);
void AddBenchRoute(CLI::App& bench, int* exit_code);
void AddBenchSimError(CLI::App& bench, int* exit_code);
void AddBenchSpec(CLI::App& bench, int* exit_code);

}  // namespace aio::cli
