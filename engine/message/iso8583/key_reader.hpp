#pragma once

// The correlation key of an ISO 8583 message. Request and answer have the same, and no two keys are equal because of
// where one part ends and the next begins:
//
//   rule (1 byte) | mapped MTI (3) | header bytes | for each key field present: number (1) | length (1) | value

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/limits.hpp"
#include "engine/message/correlation_key.hpp"
#include "engine/message/iso8583/error.hpp"
#include "engine/message/iso8583/value.hpp"
#include "engine/message/iso8583/walk.hpp"

namespace tlsmux::engine::message::iso8583 {

// Immutable; any thread. Nothing is allocated after construction.
class KeyReader {
 public:
  // Requires settings that have passed check_iso8583, and their specification loaded.
  explicit KeyReader(const config::Iso8583Settings& settings);

  [[nodiscard]] std::expected<CorrelationKey, Iso8583Error> key(const MessageBytes& message) const;

  // The third digit of the MTI, as a character.
  [[nodiscard]] std::expected<char, Iso8583Error> function(const MessageBytes& message) const;

  [[nodiscard]] bool is_response_function(char digit) const {
    return settings_.response_functions.find(digit) != std::string::npos;
  }

  // No key of a message ends behind so many bytes, or it ends behind kKeyPrefixBytesMax and is refused.
  [[nodiscard]] std::size_t prefix_bytes() const { return prefix_bytes_; }

 private:
  class KeyWriter;
  struct KeyField {
    std::uint16_t number = 0;
    Trim trim;
  };
  struct Rule {
    std::string mti;
    std::string processing_code;
    std::vector<KeyField> fields;
    std::uint32_t last_field = 0;
  };

  [[nodiscard]] const config::Iso8583Spec& spec() const { return *settings_.fields; }
  [[nodiscard]] Rule make_rule(const config::KeyRule& settings) const;
  [[nodiscard]] std::expected<std::size_t, Iso8583Error> choose_rule(Walk& walk, std::string_view mapped_mti) const;
  std::expected<void, Iso8583Error> write_fields(const Rule& rule, const Walk& walk, KeyWriter& writer) const;
  [[nodiscard]] bool fits_processing_code(const Rule& rule, const Walk& walk) const;

  config::Iso8583Settings settings_;
  std::vector<Rule> rules_;  // the last one fits all
  bool any_processing_code_ = false;
  std::size_t prefix_bytes_ = 0;
};

}  // namespace tlsmux::engine::message::iso8583
