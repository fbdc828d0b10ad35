// SPDX-License-Identifier: Apache-2.0
//
// aio bench quality: what rounding a model's weights costs on a text.
//
// Thread safety: free function, no state.
// See docs/nest.md.
#pragma once

namespace CLI {
class App;
}  // namespace CLI

namespace aio::cli {

void AddBenchQuality(CLI::App& bench, int* exit_code);

}  // namespace aio::cli
