#pragma once

namespace tlsmux::shm {

// Tells the processor that this is a loop that waits for another one.
inline void pause_processor() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace tlsmux::shm
