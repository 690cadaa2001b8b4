#pragma once

#include <cstddef>
#include <span>
#include <string>

#include <tlsmux/tlsmux.h>

namespace tlsmux::client::cli {

// How one request ended, as plain values.
struct SendReport {
  tmx_outcome outcome{};
  tmx_reason reason{};
  std::string last_error;  // the upstream's, where the request was not sent
  double milliseconds = 0;
  std::span<const std::byte> answer;
};

// For people: one line.
std::string send_text(const SendReport& report);

// For scripts: one JSON object on one line.
std::string send_json(const SendReport& report);

}  // namespace tlsmux::client::cli
