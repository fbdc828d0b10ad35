// SPDX-License-Identifier: Apache-2.0
//
// Which instruction set the kernels chose on this machine.
//
// Thread safety: TargetName any time; ForEachTarget while no kernel runs.
#pragma once

#include <functional>
#include <string_view>

namespace aio::kernels {

// "AVX3_DL", "AVX2", "NEON", "SCALAR", …
std::string_view TargetName();

// Runs `body` once for each instruction set that this build has and this
// machine can run, with the kernels switched to it. For tests.
void ForEachTarget(const std::function<void(std::string_view name)>& body);

}  // namespace aio::kernels
