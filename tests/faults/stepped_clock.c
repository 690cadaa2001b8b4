// Preloaded into tlsmuxd: the wall clock is as many seconds off as the file named by TLSMUX_STEPPED_CLOCK says, which may
// change at any time. The monotonic clock is the machine's.

#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic(int64_t) none;
static _Atomic(int64_t)* step_s = &none;
static int (*real_clock_gettime)(clockid_t, struct timespec*);

__attribute__((constructor)) static void begin(void) {
  *(void**)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  const char* path = getenv("TLSMUX_STEPPED_CLOCK");
  const int file = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void* map = mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, file, 0);
  if (map != MAP_FAILED) step_s = map;
  close(file);
}

int clock_gettime(clockid_t clock, struct timespec* now) {
  if (real_clock_gettime == NULL) begin();  // before the constructors
  const int result = real_clock_gettime(clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    now->tv_sec += atomic_load_explicit(step_s, memory_order_relaxed);
  }
  return result;
}

time_t time(time_t* now) {
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  if (now != NULL) *now = exact.tv_sec;
  return exact.tv_sec;
}

int gettimeofday(struct timeval* restrict now, void* restrict zone) {
  (void)zone;
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}
