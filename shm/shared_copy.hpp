#pragma once

// Copies between private memory and memory that a hostile process may change at any moment.
//
// Each word is read or written exactly once, by a relaxed atomic access, so the compiler can neither fetch a value a
// second time after it was checked nor tear one. Order comes from the ring or slot word around the copy.

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace tlsmux::shm {

template <typename Value>
concept SharedCopyable = std::is_trivially_copyable_v<Value> && sizeof(Value) % 8 == 0 && alignof(Value) >= 8;

template <SharedCopyable Value>
Value copy_from_shared(const Value& shared) {
  std::array<std::uint64_t, sizeof(Value) / 8> words;
  auto* source = reinterpret_cast<std::uint64_t*>(const_cast<Value*>(&shared));
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i] = std::atomic_ref(source[i]).load(std::memory_order_relaxed);
  }
  return std::bit_cast<Value>(words);
}

template <SharedCopyable Value>
void copy_to_shared(Value& shared, const Value& value) {
  const auto words = std::bit_cast<std::array<std::uint64_t, sizeof(Value) / 8>>(value);
  auto* target = reinterpret_cast<std::uint64_t*>(&shared);
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::atomic_ref(target[i]).store(words[i], std::memory_order_relaxed);
  }
}

// Payload bytes. They may be torn by a client that changes them meanwhile; whoever copies uses only the copy.
inline void copy_bytes(std::span<std::byte> to, std::span<const std::byte> from) {
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

}  // namespace tlsmux::shm
