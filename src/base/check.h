// SPDX-License-Identifier: Apache-2.0
//
// CHECK for bugs in this program; see result.h for errors the outside world can
// cause. A failed CHECK prints the condition and aborts, in every build type.
// DCHECK is the same in debug builds and nothing in release: hot loops only.
#pragma once

#include <cstdio>
#include <cstdlib>

#define CHECK(cond)                                                          \
  do {                                                                       \
    if (!(cond)) [[unlikely]] {                                              \
      std::fprintf(stderr, "%s:%d: CHECK(%s)\n", __FILE__, __LINE__, #cond); \
      std::abort();                                                          \
    }                                                                        \
  } while (0)

#ifdef NDEBUG
#define DCHECK(cond) \
  do {               \
  } while (0 && (cond))
#else
#define DCHECK(cond) CHECK(cond)
#endif
