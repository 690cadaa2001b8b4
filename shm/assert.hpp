#pragma once

#include <cstdio>
#include <cstdlib>

// For our own bugs only, and on in every build. What a client, peer, kernel or user can cause is an error value.
#define TMX_ASSERT(condition)                                                                      \
  do {                                                                                             \
    if (!(condition)) [[unlikely]] {                                                               \
      (void)std::fprintf(stderr, "%s:%d: assertion failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                                \
    }                                                                                              \
  } while (false)
