// Preloaded into tlsmuxd: counts what a data loop must not do for each message. A thread is a data loop if it bears the
// name of one.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/system/call_counts.h"

static struct call_counts nowhere;
static struct call_counts* counts = &nowhere;
static __thread int is_data_loop __attribute__((tls_model("initial-exec")));

// glibc's own, so that no pointer to them has to be looked up, which would allocate.
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void* memory);

static void count(uint64_t* counter) {
  if (is_data_loop) __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

void* malloc(size_t bytes) {
  count(&counts->allocations);
  return __libc_malloc(bytes);
}

void* calloc(size_t number, size_t bytes) {
  count(&counts->allocations);
  return __libc_calloc(number, bytes);
}

void* realloc(void* memory, size_t bytes) {
  count(&counts->allocations);
  return __libc_realloc(memory, bytes);
}

void* aligned_alloc(size_t alignment, size_t bytes) {
  count(&counts->allocations);
  return __libc_memalign(alignment, bytes);
}

int posix_memalign(void** memory, size_t alignment, size_t bytes) {
  count(&counts->allocations);
  *memory = __libc_memalign(alignment, bytes);
  return *memory != NULL ? 0 : ENOMEM;
}

void free(void* memory) {
  if (memory != NULL) count(&counts->releases);
  __libc_free(memory);
}

static int (*real_mutex_lock)(pthread_mutex_t*);
static int (*real_setname)(pthread_t, const char*);

int pthread_mutex_lock(pthread_mutex_t* mutex) {
  count(&counts->locks);
  return real_mutex_lock(mutex);
}

int pthread_setname_np(pthread_t thread, const char* name) {
  if (pthread_equal(thread, pthread_self()) && strncmp(name, "tmx-data-", 9) == 0) {
    is_data_loop = 1;
    count(&counts->threads);
  }
  return real_setname(thread, name);
}

__attribute__((constructor)) static void begin(void) {
  *(void**)&real_mutex_lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
  *(void**)&real_setname = dlsym(RTLD_NEXT, "pthread_setname_np");
  const char* path = getenv(CALL_COUNTS_VARIABLE);
  const int file = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void* memory = mmap(NULL, sizeof(struct call_counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory != MAP_FAILED) counts = memory;
}
