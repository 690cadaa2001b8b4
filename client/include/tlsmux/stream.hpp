// Streams with an owner: closed by a destructor. C++23. Nothing here throws; the contracts are those of stream.h.
#pragma once

#include <tlsmux/stream.h>
#include <tlsmux/tlsmux.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <expected>
#include <span>
#include <string>
#include <utility>

namespace tlsmux {

struct StreamOptions {
  std::string group{};           // empty: as stream.h says
  std::string control_socket{};  // likewise
  std::chrono::milliseconds timeout{0};
  bool nonblocking = false;
};

// One thread may read while another writes; otherwise used by one at a time.
class Stream {
 public:
  // `words`, if not null, receives what is wrong.
  static Result<Stream> open(const std::string& upstream, const StreamOptions& options = {},
                             std::string* words = nullptr) {
    std::array<char, 256> text{};
    tmx_stream_options given{};
    given.struct_bytes = sizeof given;
    given.flags = options.nonblocking ? TMX_STREAM_NONBLOCKING : 0;
    given.group = options.group.empty() ? nullptr : options.group.c_str();
    given.control_socket = options.control_socket.empty() ? nullptr : options.control_socket.c_str();
    given.timeout_ms = detail::to_ms(options.timeout);
    given.error_text = text.data();
    given.error_text_bytes = text.size();
    tmx_stream* stream = nullptr;
    if (const int code = tmx_stream_open(upstream.c_str(), &given, &stream); code < 0) {
      if (words != nullptr) *words = text.data();
      return std::unexpected(Error{code});
    }
    return Stream(stream);
  }

  explicit Stream(tmx_stream* stream) : stream_(stream) {}
  Stream(Stream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(stream_, other.stream_);
    return *this;
  }
  ~Stream() { tmx_stream_close(stream_); }

  Result<void> await_open(std::chrono::milliseconds timeout) {
    return detail::to_result(tmx_stream_await_open(stream_, detail::to_ms(timeout)));
  }
  // 0: the host sends no more.
  Result<std::size_t> read(std::span<std::byte> into) {
    return to_bytes(tmx_stream_read(stream_, into.data(), into.size()));
  }
  Result<std::size_t> write(std::span<const std::byte> bytes) {
    return to_bytes(tmx_stream_write(stream_, bytes.data(), bytes.size()));
  }
  Result<void> shut_down() { return detail::to_result(tmx_stream_shutdown(stream_)); }
  Result<void> set_timeouts(std::chrono::milliseconds read_timeout, std::chrono::milliseconds write_timeout) {
    return detail::to_result(
        tmx_stream_set_timeouts(stream_, detail::to_ms(read_timeout), detail::to_ms(write_timeout)));
  }
  [[nodiscard]] int descriptor() const { return tmx_stream_descriptor(stream_); }

  struct End {
    tmx_reason reason = TMX_REASON_NONE;
    bool maybe_sent = false;
    std::string words{};
  };
  // Why it was refused or is lost.
  [[nodiscard]] End end() const {
    End end;
    int maybe_sent = 0;
    std::array<char, 256> words{};
    end.reason = tmx_stream_reason(stream_, &maybe_sent, words.data(), words.size());
    end.maybe_sent = maybe_sent != 0;
    end.words = words.data();
    return end;
  }

 private:
  static Result<std::size_t> to_bytes(ssize_t result) {
    if (result < 0) return std::unexpected(Error{static_cast<int>(result)});
    return static_cast<std::size_t>(result);
  }

  tmx_stream* stream_;
};

}  // namespace tlsmux
