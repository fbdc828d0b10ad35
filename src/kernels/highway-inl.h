// SPDX-License-Identifier: Apache-2.0
//
// hwy/highway.h, plus the one instruction set extension its 1.0.3 forgets: the
// target AVX3_DL requires AVX512_VNNI of the machine but does not enable it in
// the compiler. Included instead of hwy/highway.h, by all files alike, since a
// function inlines only into one whose target has all of its own extensions.
//
// No include guard: the macro is set anew for each target.
#include "hwy/highway.h"

#if HWY_TARGET == HWY_AVX3_DL
#undef HWY_TARGET_STR
#define HWY_TARGET_STR                                            \
  HWY_TARGET_STR_AVX3                                             \
  ",vpclmulqdq,avx512vbmi,avx512vbmi2,vaes,avxvnni,avx512bitalg," \
  "avx512vpopcntdq,avx512vnni"
#endif
