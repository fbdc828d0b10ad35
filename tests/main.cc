// SPDX-License-Identifier: Apache-2.0
//
// main() of the tests of what runs kernels: AIO_TARGET forces the instruction
// set, as it does for aio, and a processor that cannot run this build is told
// so instead of dying of an illegal instruction.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "base/machine.h"
#include "kernels/target.h"

namespace {

aio::Result<void> Prepare() {
  if (auto cpu = aio::CheckCpu(); !cpu) return cpu.error();
  const char* target = std::getenv("AIO_TARGET");
  if (target == nullptr || *target == '\0') return {};
  return aio::kernels::ForceTarget(target);
}

}  // namespace

int main(int argc, char** argv) {
  if (const auto ready = Prepare(); !ready) {
    std::cerr << ready.error().message << "\n";
    return 1;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
