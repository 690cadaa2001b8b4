#pragma once

// Where one message ends and the next begins on a session's byte stream. No system call, no clock.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <vector>

#include "config/config.hpp"
#include "config/limits.hpp"
#include "shm/function_ref.hpp"

namespace tlsmux::engine::message {

enum class FramingError : std::uint8_t {
  too_long,      // the stated length is over the limit
  too_short,     // a length that includes itself and is smaller than itself
  not_a_number,  // a digit that is none
};

// One sentence for the log. Names no byte of the stream.
const char* framing_error_text(FramingError error);

// How messages of one upstream are framed: a length of header_bytes() bytes, then the message. The length is a binary
// number, most significant byte first, or a decimal number in ASCII digits with leading zeros; where it includes
// itself, it counts its own bytes too. Immutable; any thread.
class Framing {
 public:
  // Requires settings that have passed config_check: the length can state the largest message.
  explicit Framing(const config::FramingSettings& settings);

  [[nodiscard]] std::size_t header_bytes() const { return length_bytes_; }
  [[nodiscard]] std::size_t message_bytes_max() const { return message_bytes_max_; }

  // Requires 1 <= message_bytes <= message_bytes_max() and header.size() == header_bytes().
  void write_header(std::span<std::byte> header, std::size_t message_bytes) const;

  // Requires header.size() == header_bytes(). The bytes of the message that follow; 0 is a keep-alive.
  [[nodiscard]] std::expected<std::size_t, FramingError> read_header(std::span<const std::byte> header) const;

 private:
  config::LengthEncoding encoding_;
  std::size_t length_bytes_;
  bool includes_itself_;
  std::size_t message_bytes_max_;
};

// Cuts one direction of one session into messages, whatever pieces the bytes come in. One thread.
class FrameCutter {
 public:
  // `framing` outlives it. Allocates for the largest message once, here.
  explicit FrameCutter(const Framing& framing);

  // Calls `on_message` for each message that is now complete, in order; the span holds during the call only, and the
  // callable must not feed this object. A message that lies whole in `bytes` is not copied. A keep-alive calls nothing.
  // After an error the stream cannot be trusted: messages before it have been delivered, and every later call returns
  // the same error.
  std::expected<void, FramingError> feed(std::span<const std::byte> bytes,
                                         shm::FunctionRef<void(std::span<const std::byte>)> on_message);

  // True between messages: nothing of a next one has come.
  [[nodiscard]] bool at_boundary() const { return held_bytes_ == 0; }

  // Keep-alives that have come since the beginning.
  [[nodiscard]] std::uint64_t keep_alives() const { return keep_alives_; }

 private:
  using OnMessage = shm::FunctionRef<void(std::span<const std::byte>)>;

  std::expected<std::span<const std::byte>, FramingError> finish_held(std::span<const std::byte> bytes,
                                                                      OnMessage on_message);
  std::expected<std::span<const std::byte>, FramingError> cut_whole(std::span<const std::byte> bytes,
                                                                    OnMessage on_message);
  std::span<const std::byte> hold(std::span<const std::byte> bytes, std::size_t wanted_bytes);
  void deliver(std::span<const std::byte> message, OnMessage on_message);

  const Framing* framing_;
  std::vector<std::byte> held_;  // the beginning of a message that is not complete yet, header included
  std::size_t held_bytes_ = 0;
  std::uint64_t keep_alives_ = 0;
  std::optional<FramingError> failed_;
};

}  // namespace tlsmux::engine::message
