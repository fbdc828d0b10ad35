// SPDX-License-Identifier: Apache-2.0
//
// The clock of what subcommands measure and show. The engine's is injected.
#pragma once

namespace aio::cli {

// Seconds since some time.
double NowSeconds();

}  // namespace aio::cli
