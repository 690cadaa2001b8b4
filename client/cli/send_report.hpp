#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <tlsmux/tlsmux.h>

namespace tlsmux::client::cli {

// How one request ended, as plain values.
struct SendReport {
  tmx_outcome outcome{};
  tmx_reason reason{};
  std::string last_error;          // the upstream's, where that is why the request was not sent
  std::uint32_t error_offset = 0;  // of an unparsable message, as in tmx_result
  std::uint16_t error_field = 0;
  double milliseconds = 0;
  std::span<const std::byte> answer;
};

// For people: one line.
std::string send_text(const SendReport& report);

// For scripts: one JSON object on one line.
std::string send_json(const SendReport& report);

}  // namespace tlsmux::client::cli
