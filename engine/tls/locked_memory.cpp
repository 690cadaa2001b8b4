#include "engine/tls/locked_memory.hpp"

#include <sys/mman.h>

#include <memory>
#include <new>
#include <span>

#include "engine/tls/secret_bytes.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine::tls {
namespace {

constexpr std::size_t kChunkBlocks = LockedMemory::kChunkBytes / LockedMemory::kBlockBytes;

}  // namespace

LockedMemory& key_memory() {
  // Never destroyed: other threads may still use keys while the process exits.
  static LockedMemory& memory = *std::make_unique<LockedMemory>().release();
  return memory;
}

LockedMemory::~LockedMemory() {
  TMX_ASSERT(free_.size() == chunks_.size() * kChunkBlocks);
  for (std::byte* chunk : chunks_) {
    (void)munmap(chunk, kChunkBytes);
  }
}

std::byte* LockedMemory::acquire() noexcept {
  const std::scoped_lock lock(mutex_);
  if (free_.empty() && !grow()) {
    return nullptr;
  }
  std::byte* block = free_.back();
  free_.pop_back();
  return block;
}

void LockedMemory::release(std::byte* block) noexcept {
  wipe({block, kBlockBytes});
  const std::scoped_lock lock(mutex_);
  free_.push_back(block);
}

bool LockedMemory::grow() noexcept {
  try {
    chunks_.reserve(chunks_.size() + 1);
    free_.reserve((chunks_.size() + 1) * kChunkBlocks);
  } catch (const std::bad_alloc&) {
    return false;
  }
  void* mapped = mmap(nullptr, kChunkBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) {
    return false;
  }
  // Both are there since Linux 4.14; where one is refused the keys are as safe as any memory.
  (void)madvise(mapped, kChunkBytes, MADV_DONTDUMP);
  (void)madvise(mapped, kChunkBytes, MADV_WIPEONFORK);
  if (mlock(mapped, kChunkBytes) != 0) {
    all_locked_.store(false, std::memory_order_relaxed);
  }
  std::byte* chunk = static_cast<std::byte*>(mapped);
  chunks_.push_back(chunk);
  for (std::size_t i = 0; i < kChunkBlocks; ++i) {
    free_.push_back(chunk + i * kBlockBytes);
  }
  return true;
}

}  // namespace tlsmux::engine::tls
