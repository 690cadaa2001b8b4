#pragma once

// A stream that an application has opened to "host", at an engine that the test scripts.

#include <doctest/doctest.h>
#include <poll.h>
#include <tlsmux/stream.h>

#include <array>
#include <string>

#include "tests/streams/stream_engine.hpp"

namespace tlsmux::test {

struct Opened {
  explicit Opened(StreamEngine& engine, std::uint32_t flags = 0, std::uint32_t timeout_ms = 0) {
    options.struct_bytes = sizeof options;
    options.flags = flags;
    options.group = "group";
    options.control_socket = engine.control_socket().c_str();
    options.timeout_ms = timeout_ms;
    options.error_text = words.data();
    options.error_text_bytes = words.size();
    error = tmx_stream_open("host", &options, &stream);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  ~Opened() { tmx_stream_close(stream); }

  [[nodiscard]] std::string read(std::size_t bytes) const {
    std::string text(bytes, '\0');
    const auto got = tmx_stream_read(stream, text.data(), bytes);
    REQUIRE(got >= 0);
    text.resize(static_cast<std::size_t>(got));
    return text;
  }
  [[nodiscard]] ssize_t try_read() const {
    std::array<char, 64> buffer{};
    return tmx_stream_read(stream, buffer.data(), buffer.size());
  }
  // What poll says of the descriptor, without waiting.
  [[nodiscard]] bool is(short event) const {
    pollfd wanted{.fd = tmx_stream_descriptor(stream), .events = event, .revents = 0};
    return ::poll(&wanted, 1, 0) == 1 && (wanted.revents & event) != 0;
  }

  tmx_stream_options options{};
  std::array<char, 200> words{};
  tmx_stream* stream = nullptr;
  int error = 0;
};

}  // namespace tlsmux::test
