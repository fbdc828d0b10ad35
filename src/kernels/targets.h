// SPDX-License-Identifier: Apache-2.0
//
// Which instruction sets the kernels are compiled for: AVX2, AVX3 (AVX-512),
// AVX3_DL (AVX-512 with VNNI), NEON, and plain C++ for everything else. Each
// more costs seconds of build time and is tested nowhere. Include this before
// any hwy/ header, alike in every file.
#pragma once

#define HWY_WANT_AVX3_DL
#define HWY_DISABLED_TARGETS                                                \
  (HWY_SSSE3 | HWY_SSE4 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | \
   HWY_RVV | HWY_WASM | HWY_WASM_EMU256 | HWY_PPC8)
