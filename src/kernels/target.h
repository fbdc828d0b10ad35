// SPDX-License-Identifier: Apache-2.0
//
// Which instruction set the kernels chose on this machine.
//
// Thread safety: TargetName any time; the others while no kernel runs.
#pragma once

#include <functional>
#include <string_view>

#include "base/result.h"

namespace aio::kernels {

// "AVX3_DL", "AVX2", "NEON", "SCALAR", …
std::string_view TargetName();

// Switches the kernels to the named instruction set, case ignored, to reproduce
// what a lesser machine computes. kInvalidArgument if this build lacks it or
// this machine cannot run it; the message lists those that it can.
Result<void> ForceTarget(std::string_view name);

// Runs `body` once for each instruction set that this build has and this
// machine can run (the forced one only, if one is), with the kernels switched
// to it. For tests.
void ForEachTarget(const std::function<void(std::string_view name)>& body);

}  // namespace aio::kernels
