// The daemon's operator delete: what lay there is overwritten first. Messages, keys and passphrases pass through
// containers whose memory would keep them after its release; here no container can be forgotten. The array and nothrow
// forms of the library come to these. What C libraries allocate is not among it; mbedTLS wipes its secrets itself.

#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <span>

#include "shm/wipe.hpp"

namespace {

void wipe_and_free(void* memory) noexcept {
  if (memory == nullptr) return;
  tlsmux::shm::wipe({static_cast<std::byte*>(memory), ::malloc_usable_size(memory)});
  std::free(memory);
}

}  // namespace

// With its pair, since the tools that watch memory want both from one hand.
void* operator new(std::size_t bytes) {
  void* const memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void operator delete(void* memory) noexcept { wipe_and_free(memory); }
void operator delete(void* memory, std::size_t /*bytes*/) noexcept { wipe_and_free(memory); }

// The same for what needs more than the usual alignment.
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  const auto boundary = static_cast<std::size_t>(alignment);
  void* memory = nullptr;
  // A power of two, but perhaps one that is too small for it.
  if (::posix_memalign(&memory, std::max(boundary, sizeof(void*)), std::max<std::size_t>(bytes, 1)) != 0) {
    throw std::bad_alloc();
  }
  return memory;
}

void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { wipe_and_free(memory); }
void operator delete(void* memory, std::size_t /*bytes*/, std::align_val_t /*alignment*/) noexcept {
  wipe_and_free(memory);
}
