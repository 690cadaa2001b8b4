#pragma once

// Streams as text, for tests that write their bytes by hand.

#include <doctest/doctest.h>

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/message/frame_cutter.hpp"

namespace tlsmux::test {

using Messages = std::vector<std::string>;

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::expected<void, engine::message::FramingError> feed(engine::message::FrameCutter& cutter,
                                                               std::string_view text, Messages& messages) {
  return cutter.feed(bytes_of(text),
                     [&](const engine::message::Frame& frame) { messages.push_back(text_of(frame.message)); });
}

// The frame that would be sent.
inline std::string frame_of(const engine::message::Framing& framing, std::string_view message,
                            std::string_view received_header = {}) {
  std::string header(framing.header_bytes(), '?');
  framing.write_header(std::as_writable_bytes(std::span(header)), message.size(), bytes_of(received_header));
  return header + std::string(message) + text_of(framing.trailer());
}

}  // namespace tlsmux::test
