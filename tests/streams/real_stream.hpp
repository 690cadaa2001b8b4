#pragma once

// A stream of the C interface to the first upstream of a configuration, closed by its end.

#include <poll.h>
#include <tlsmux/stream.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "config/config.hpp"

namespace tlsmux::test {

inline std::string framed(std::string_view message) {
  std::string text{static_cast<char>(message.size() >> 8), static_cast<char>(message.size() & 0xff)};
  return text += message;
}

class RealStream {
 public:
  explicit RealStream(const config::Config& config, std::uint32_t flags = 0) {
    tmx_stream_options options{};
    options.struct_bytes = sizeof options;
    options.flags = flags;
    options.control_socket = config.engine.control_socket.c_str();
    options.timeout_ms = 20'000;
    error_ = tmx_stream_open(config.upstreams[0].name.c_str(), &options, &stream_);
  }
  RealStream(const RealStream&) = delete;
  RealStream& operator=(const RealStream&) = delete;
  ~RealStream() { tmx_stream_close(stream_); }

  [[nodiscard]] int error() const { return error_; }
  [[nodiscard]] tmx_stream* get() const { return stream_; }
  bool write(std::string_view bytes) const {
    return tmx_stream_write(stream_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  }
  // So many bytes; fewer when it ends.
  [[nodiscard]] std::string read(std::size_t bytes) const {
    std::string text;
    std::array<char, 4096> piece{};
    while (text.size() < bytes) {
      const auto got = tmx_stream_read(stream_, piece.data(), std::min(piece.size(), bytes - text.size()));
      if (got <= 0) break;
      text.append(piece.data(), static_cast<std::size_t>(got));
    }
    return text;
  }
  // Nothing: it has ended.
  [[nodiscard]] std::string read_message() const {
    const auto length = read(2);
    if (length.size() < 2) return {};
    const auto high = static_cast<unsigned char>(length[0]);
    return read(std::size_t{high} << 8 | static_cast<unsigned char>(length[1]));
  }
  [[nodiscard]] ssize_t try_read() const {
    char byte = 0;
    return tmx_stream_read(stream_, &byte, 1);
  }
  [[nodiscard]] bool is(short event, int timeout_ms) const {
    pollfd wanted{.fd = tmx_stream_descriptor(stream_), .events = event, .revents = 0};
    return ::poll(&wanted, 1, timeout_ms) == 1 && (wanted.revents & event) != 0;
  }

 private:
  tmx_stream* stream_ = nullptr;
  int error_ = 0;
};

}  // namespace tlsmux::test
