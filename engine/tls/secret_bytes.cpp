#include "engine/tls/secret_bytes.hpp"

#include <utility>

namespace tlsmux::engine::tls {

SecretBytes::SecretBytes(std::size_t size) : memory_(std::make_unique<std::byte[]>(size)), size_(size) {}

SecretBytes::~SecretBytes() { wipe(); }

SecretBytes::SecretBytes(SecretBytes&& other) noexcept
    : memory_(std::move(other.memory_)), size_(std::exchange(other.size_, 0)) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this == &other) return *this;
  wipe();
  memory_ = std::move(other.memory_);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

}  // namespace tlsmux::engine::tls
