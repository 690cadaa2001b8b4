#pragma once

// Which request a message from the host answers. No system call, no clock, no allocation after construction.

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include "config/config.hpp"
#include "config/limits.hpp"

namespace tlsmux::engine::message {

// What is equal in a request and its answer. Unused bytes are zero, so keys compare as a whole.
struct CorrelationKey {
  std::array<std::byte, config::kCorrelationKeyBytesMax> bytes{};
  std::uint8_t length = 0;
  friend bool operator==(const CorrelationKey&, const CorrelationKey&) = default;
};

struct CorrelationKeyHash {
  // Keyed with a seed of the engine's start: a host or client cannot choose keys that collide.
  std::uint64_t seed = 0;
  std::size_t operator()(const CorrelationKey& key) const;
};

enum class CorrelationError : std::uint8_t {
  too_short,  // the message ends before its key does
};

// How the messages of one upstream correlate. Immutable; any thread.
class Correlation {
 public:
  // Requires settings that have passed config_check: a key of 1 to kCorrelationKeyBytesMax bytes that ends within
  // kKeyPrefixBytesMax, and a mask of the key's length or none.
  explicit Correlation(const config::CorrelationSettings& settings);

  // Answers come in the order of requests; there are no keys.
  [[nodiscard]] bool in_order() const { return kind_ == config::CorrelationKind::fifo; }

  // A message's key lies within so many leading bytes: those that must be copied before they are read. 0 in order.
  [[nodiscard]] std::size_t prefix_bytes() const;

  // Requires !in_order(). `message` may be the prefix only.
  [[nodiscard]] std::expected<CorrelationKey, CorrelationError> request_key(std::span<const std::byte> message) const;
  [[nodiscard]] std::expected<CorrelationKey, CorrelationError> response_key(std::span<const std::byte> message) const;

 private:
  [[nodiscard]] std::expected<CorrelationKey, CorrelationError> masked_key(std::span<const std::byte> message) const;

  config::CorrelationKind kind_;
  std::size_t offset_ = 0;
  std::size_t length_ = 0;
  std::array<std::byte, config::kCorrelationKeyBytesMax> mask_{};
};

}  // namespace tlsmux::engine::message
