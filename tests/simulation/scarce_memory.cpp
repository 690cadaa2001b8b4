#include "tests/simulation/scarce_memory.hpp"

#include <cstdlib>
#include <new>
#include <utility>

namespace tlsmux::simulation {
namespace {

// operator new has no other place to look at.
thread_local std::uint64_t allocations_left = 0;  // until one fails; 0: none does

}  // namespace

ScarceMemory::ScarceMemory(std::uint64_t nth) : before_(std::exchange(allocations_left, nth)) {}
ScarceMemory::~ScarceMemory() { allocations_left = before_; }
bool ScarceMemory::has_struck() const { return allocations_left == 0; }

AmpleMemory::AmpleMemory() : before_(std::exchange(allocations_left, 0)) {}
AmpleMemory::~AmpleMemory() { allocations_left = before_; }

}  // namespace tlsmux::simulation

// The library's array forms come to these. So does its nothrow form, but not a sanitizer's: without one here, its memory
// would come back to this operator delete.
void* operator new(std::size_t bytes) {
  auto& left = tlsmux::simulation::allocations_left;
  if (left > 0 && --left == 0) throw std::bad_alloc();
  void* const memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void* operator new(std::size_t bytes, const std::nothrow_t& /*tag*/) noexcept {
  try {
    return operator new(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*bytes*/) noexcept { std::free(memory); }
