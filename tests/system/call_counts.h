#pragma once

// What call_counter.c counts in the data loops of a tlsmuxd that was started with it, in a file that both map.

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CALL_COUNTS_VARIABLE "TLSMUX_TEST_CALL_COUNTS" /* the file's path */

struct call_counts {
  uint64_t allocations; /* malloc, calloc, realloc, aligned_alloc, posix_memalign; operator new calls the first */
  uint64_t releases;
  uint64_t locks;   /* pthread_mutex_lock */
  uint64_t threads; /* data loops that were seen */
};

#ifdef __cplusplus
}
#endif
