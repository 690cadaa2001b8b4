#pragma once

// Which request a message from the host answers. No system call, no clock, no allocation after construction.

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include "config/config.hpp"
#include "config/limits.hpp"
#include "engine/message/correlation_key.hpp"
#include "engine/message/iso8583/error.hpp"
#include "engine/message/iso8583/key_reader.hpp"

namespace tlsmux::engine::message {

struct CorrelationKeyHash {
  // Keyed with a seed of the engine's start: a host or client cannot choose keys that collide.
  std::uint64_t seed = 0;
  std::size_t operator()(const CorrelationKey& key) const;
};

// Where the key of a message could not be read. Of `bytes` keys: truncated, field 0, the message's length.
using CorrelationError = iso8583::Iso8583Error;

enum class MessageRole : std::uint8_t {
  request,     // the host's own, never an answer
  response,    // may be an answer
  unreadable,  // it could not be told
};

// How the messages of one upstream correlate. Immutable; any thread.
class Correlation {
 public:
  // Requires settings that have passed config_check: a key of 1 to kCorrelationKeyBytesMax bytes that ends within
  // kKeyPrefixBytesMax, and a mask of the key's length or none; for `iso8583`, a loaded specification.
  explicit Correlation(const config::CorrelationSettings& settings);

  // Answers come in the order of requests; there are no keys.
  [[nodiscard]] bool in_order() const { return kind_ == config::CorrelationKind::fifo; }

  // A message's key lies within so many leading bytes: those that must be copied before they are read. 0 in order.
  [[nodiscard]] std::size_t prefix_bytes() const;

  // Requires !in_order(). `message` may be a prefix of at least prefix_bytes(), given the length of the whole.
  [[nodiscard]] std::expected<CorrelationKey, CorrelationError> request_key(std::span<const std::byte> message,
                                                                            std::size_t message_bytes) const;
  [[nodiscard]] std::expected<CorrelationKey, CorrelationError> request_key(std::span<const std::byte> message) const {
    return request_key(message, message.size());
  }
  // Requires the whole message.
  [[nodiscard]] std::expected<CorrelationKey, CorrelationError> response_key(std::span<const std::byte> message) const;

  // What the host's message is by its MTI. Without ISO 8583 nothing tells, and every message may be an answer.
  [[nodiscard]] MessageRole role(std::span<const std::byte> message) const;

 private:
  [[nodiscard]] std::expected<CorrelationKey, CorrelationError> masked_key(std::span<const std::byte> message) const;

  config::CorrelationKind kind_;
  std::size_t offset_ = 0;
  std::size_t length_ = 0;
  std::array<std::byte, config::kCorrelationKeyBytesMax> mask_{};
  std::optional<iso8583::KeyReader> key_reader_;
};

}  // namespace tlsmux::engine::message
