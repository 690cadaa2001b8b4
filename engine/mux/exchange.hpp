#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "engine/message/correlation_key.hpp"
#include "engine/message/iso8583/message_template.hpp"

namespace tlsmux::engine::mux {

enum class ExchangePurpose : std::uint8_t { none, sign_on, sign_off, heartbeat };

// A message that the engine itself has sent on a session and whose answer it awaits. A session has one at a time.
struct Exchange {
  ExchangePurpose purpose = ExchangePurpose::none;
  std::size_t step = 0;                                     // of the messages of sign-on or sign-off
  const message::iso8583::MessageTemplate* sent = nullptr;  // null: a keep-alive, or nothing yet
  std::optional<message::CorrelationKey> key{};             // of `sent`
  std::uint64_t wire_position = 0;                          // where its record begins
  std::uint64_t started_ns = 0;
  std::uint64_t deadline_ns = 0;
  std::uint64_t retry_ns = 0;     // nothing was sent for want of a trace number: when to try again; 0: it was
  std::uint64_t keep_alives = 0;  // that had come before

  [[nodiscard]] bool is_open() const { return purpose != ExchangePurpose::none; }
};

}  // namespace tlsmux::engine::mux
