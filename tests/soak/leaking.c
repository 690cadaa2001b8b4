// Preloaded into tlsmuxd, to see whether the soak sees it: each fourth eventfd that a process makes costs it a descriptor, 64
// KiB of memory and two mappings, for good. An engine makes two or more for each client.

#include <dlfcn.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

static int (*real_eventfd)(unsigned int, int);

__attribute__((constructor)) static void begin(void) { *(void**)&real_eventfd = dlsym(RTLD_NEXT, "eventfd"); }

static void leak(int flags) {
  enum { kBytes = 64 * 1024, kPageBytes = 4096 };
  (void)real_eventfd(0, flags);
  void* memory = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) memset(memory, 1, kBytes);
  (void)mmap(NULL, kPageBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);  // keeps it apart from the next
}

int eventfd(unsigned int count, int flags) {
  static atomic_uint made;
  if (atomic_fetch_add(&made, 1) % 4 == 3) leak(flags);
  return real_eventfd(count, flags);
}
