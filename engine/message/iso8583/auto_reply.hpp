#pragma once

// Answers to requests of the host that need no application, such as an echo test.

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <span>
#include <vector>

#include "config/config.hpp"
#include "engine/message/iso8583/error.hpp"
#include "engine/message/iso8583/field_values.hpp"
#include "engine/message/iso8583/walk.hpp"

namespace tlsmux::engine::message::iso8583 {

// Immutable; any thread. Nothing is allocated after construction.
class AutoReply {
 public:
  // Requires settings that have passed check_iso8583, and their specification loaded.
  AutoReply(const config::Iso8583Settings& settings, const config::AutoReplySettings& reply);

  // Whether this reply is the one for the message. False where it cannot be read.
  [[nodiscard]] bool matches(std::span<const std::byte> request) const;

  // Writes the reply and returns its length: the request's header and fields, the MTI of the response, the fields of
  // `set` in place of or among the request's; a field set to an empty text is left out. Field 39 is "00" unless set.
  // Of a BASE I header the stations are exchanged and the length is set. `out` must not overlap the request.
  // Errors: a request that cannot be read to its end; no_room.
  [[nodiscard]] std::expected<std::size_t, Iso8583Error> reply(std::span<const std::byte> request,
                                                               std::span<std::byte> out) const;

 private:
  config::Iso8583Settings settings_;  // keeps the specification
  std::array<char, config::kIso8583MtiDigits> mti_{};
  std::vector<std::byte> response_mti_;  // as transmitted
  FieldValues match_;
  Bitmaps set_{};
  Bitmaps left_out_{};
  std::map<std::uint32_t, std::vector<std::byte>> set_fields_;  // as transmitted
};

}  // namespace tlsmux::engine::message::iso8583
