#pragma once

// Values that fields of a message must have.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "engine/message/iso8583/error.hpp"
#include "engine/message/iso8583/value.hpp"
#include "engine/message/iso8583/walk.hpp"

namespace tlsmux::engine::message::iso8583 {

// Immutable; any thread.
class FieldValues {
 public:
  // Requires values that config::content_of accepts, and a loaded specification.
  FieldValues(const config::Iso8583Settings& settings, const std::map<std::uint32_t, std::string>& values);

  [[nodiscard]] bool empty() const { return values_.empty(); }

  // The first field that is absent or has another value; nothing if there is none. Walks as far as the last of them.
  [[nodiscard]] std::expected<std::optional<std::uint16_t>, Iso8583Error> first_difference(
      std::span<const std::byte> message) const;

  // The same for a message that is walked already, at least through its bitmaps.
  [[nodiscard]] std::expected<std::optional<std::uint16_t>, Iso8583Error> first_difference(Walk& walk) const;

 private:
  struct Wanted {
    std::uint16_t field = 0;
    Trim trim;
    std::vector<std::byte> value;
  };

  config::Iso8583Settings settings_;  // keeps the specification
  std::vector<Wanted> values_;        // by field number
};

}  // namespace tlsmux::engine::message::iso8583
