#pragma once

// Messages that the engine sends by itself (sign-on, sign-off, heartbeat), and what their answers must hold.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <vector>

#include "config/config.hpp"
#include "config/iso8583/iso8583_message_plan.hpp"
#include "engine/message/iso8583/error.hpp"
#include "engine/message/iso8583/field_values.hpp"

namespace tlsmux::engine::message::iso8583 {

// What placeholders stand for in one message.
struct TemplateValues {
  std::uint64_t trace_number = 0;
  std::uint64_t counter = 0;        // its last digits are used
  std::int64_t utc_s = 0;           // seconds since 1970
  std::int32_t local_offset_s = 0;  // of the local time zone at that moment, east of UTC
};

// Immutable; any thread. Nothing is allocated after construction.
class MessageTemplate {
 public:
  // Requires settings that have passed check_iso8583, and their specification loaded.
  MessageTemplate(const config::Iso8583Settings& settings, const config::MessageSettings& message);

  // The length of every message built.
  [[nodiscard]] std::size_t message_bytes() const { return plan_.bytes.size(); }

  // Writes the message, header included, and returns its length. Errors: no_room; too_long, where a trace number has
  // more digits than its field.
  [[nodiscard]] std::expected<std::size_t, Iso8583Error> build(const TemplateValues& values,
                                                               std::span<std::byte> out) const;

  // The first field of `answer` that is not as `expect` says (absent ones count as different), or nothing if all are.
  // The error is that of an answer that cannot be read so far.
  [[nodiscard]] std::expected<std::optional<std::uint16_t>, Iso8583Error> check_answer(
      std::span<const std::byte> answer) const;

 private:
  config::MessagePlan plan_;
  FieldValues expected_;
};

}  // namespace tlsmux::engine::message::iso8583
