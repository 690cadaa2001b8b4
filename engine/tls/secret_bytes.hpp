#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>

#include "shm/wipe.hpp"

namespace tlsmux::engine::tls {

using shm::wipe;

// A plain value that is wiped before it goes away. It is neither copied nor moved, so there is one place to wipe.
template <typename Value>
  requires std::is_trivially_copyable_v<Value>
class Wiped {
 public:
  Wiped() = default;
  ~Wiped() { wipe(std::as_writable_bytes(std::span(&value_, 1))); }
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;

  Value& operator*() { return value_; }
  const Value& operator*() const { return value_; }
  Value* operator->() { return &value_; }
  const Value* operator->() const { return &value_; }

 private:
  Value value_{};
};

// Bytes such as a private key, wiped before their memory is given back. Moving leaves no copy behind.
class SecretBytes {
 public:
  SecretBytes() = default;
  // `size` zeros, to be filled through bytes().
  explicit SecretBytes(std::size_t size);
  ~SecretBytes();
  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;

  [[nodiscard]] std::span<std::byte> bytes() { return {memory_.get(), size_}; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {memory_.get(), size_}; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  // Zeros the bytes and keeps the size.
  void wipe() noexcept { tls::wipe(bytes()); }

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::size_t size_ = 0;
};

}  // namespace tlsmux::engine::tls
