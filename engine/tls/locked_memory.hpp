#pragma once

// Memory for keys: locked against swapping, left out of core dumps, all zeros in a process that is forked, wiped when
// given back.
//
// mmap, madvise and mlock are the only system calls of engine/tls. They happen when more keys live than ever before.

#include <atomic>
#include <cstddef>
#include <mutex>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace tlsmux::engine::tls {

// Blocks of one size, so that a page is shared by three keys and giving one back is O(1). What was mapped stays mapped
// until the end. Thread-safe: keys are made by handshake workers and given up by data loops.
class LockedMemory {
 public:
  static constexpr std::size_t kBlockAlignment = 64;
  static constexpr std::size_t kBlockBytes = 21 * kBlockAlignment;
  static constexpr std::size_t kChunkBytes = std::size_t{64} << 10;  // asked of the kernel at a time: 48 keys

  LockedMemory() = default;
  // Requires that all blocks have been given back.
  ~LockedMemory();
  LockedMemory(const LockedMemory&) = delete;
  LockedMemory& operator=(const LockedMemory&) = delete;

  // kBlockBytes zeros, aligned to kBlockAlignment. Null: no memory.
  [[nodiscard]] std::byte* acquire() noexcept;
  void release(std::byte* block) noexcept;

  // False once the kernel has refused to lock memory (RLIMIT_MEMLOCK). Keys are then kept in memory that is unlocked, but
  // otherwise the same: an engine that serves is worth more than one that stops at its 49th key.
  [[nodiscard]] bool all_locked() const { return all_locked_.load(std::memory_order_relaxed); }

 private:
  bool grow() noexcept;

  std::mutex mutex_;
  std::vector<std::byte*> chunks_;
  std::vector<std::byte*> free_;  // has room for every block there is: giving one back does not allocate
  std::atomic<bool> all_locked_ = true;
};

// The one of this process. Like the heap it has no owner and no end: a key is made where a handshake ends and lives on
// elsewhere.
LockedMemory& key_memory();

// A plain value in key_memory(), zeroed before its constructor runs and wiped when it goes away. Check it after making:
// it is false when there was no memory, and must then not be used.
template <typename Value>
  requires(std::is_trivially_copyable_v<Value> && std::is_trivially_destructible_v<Value> &&
           sizeof(Value) <= LockedMemory::kBlockBytes && alignof(Value) <= LockedMemory::kBlockAlignment)
class Locked {
 public:
  Locked() noexcept : block_(key_memory().acquire()) {
    if (block_ != nullptr) {
      value_ = ::new (static_cast<void*>(block_)) Value{};
    }
  }
  ~Locked() {
    if (block_ != nullptr) {
      key_memory().release(block_);
    }
  }
  Locked(Locked&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)), value_(std::exchange(other.value_, nullptr)) {}
  Locked& operator=(Locked&& other) noexcept {
    std::swap(block_, other.block_);
    std::swap(value_, other.value_);
    return *this;
  }

  explicit operator bool() const { return block_ != nullptr; }
  Value& operator*() { return *value_; }
  const Value& operator*() const { return *value_; }
  Value* operator->() { return value_; }
  const Value* operator->() const { return value_; }

 private:
  std::byte* block_;
  Value* value_ = nullptr;
};

}  // namespace tlsmux::engine::tls
