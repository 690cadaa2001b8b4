#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "tests/host/options.hpp"

namespace tlsmux::host {

// A frame's body: what stands before an ISO 8583 message, and the message.
struct Envelope {
  std::string_view tpdu;    // 5 bytes, or none
  std::string_view header;  // BASE I headers, or none
  std::string_view message;

  // Header and message: what an application on the other side sees.
  [[nodiscard]] std::string_view application_bytes() const { return {header.data(), header.size() + message.size()}; }
};

// Points into `body`. The error says what is missing.
[[nodiscard]] std::expected<Envelope, const char*> open_envelope(const EnvelopeOptions& options, std::string_view body);

// A TPDU (id, destination of 2 bytes, source of 2 bytes) with the addresses exchanged; an empty one stays empty.
[[nodiscard]] std::string swapped_tpdu(std::string_view tpdu);

// BASE I headers for an answer: in each, destination and source station exchanged. Takes what
// open_envelope() found.
[[nodiscard]] std::string swapped_base1(std::string_view header);

// A BASE I header of 22 bytes for a message of `message_bytes`.
[[nodiscard]] std::string base1_header(std::size_t message_bytes);

}  // namespace tlsmux::host
