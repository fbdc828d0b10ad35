// SPDX-License-Identifier: Apache-2.0
//
// aio bench quality: what rounding a model's weights costs on a text.
// aio bench pair: the steps of two models in turns, in one process.
//
// Thread safety: free functions, no state.
// See docs/nest.md.
#pragma once

namespace CLI {
class App;
}  // namespace CLI

namespace aio::cli {

void AddBenchPair(CLI::App& bench, int* exit_code);
void AddBenchQuality(CLI::App& bench, int* exit_code);

}  // namespace aio::cli
