#pragma once

// Cuts one direction of a session's byte stream into messages. No system call, no clock.

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <vector>

#include "engine/message/framing.hpp"
#include "shm/function_ref.hpp"

namespace tlsmux::engine::message {

// A message that has come, and what stood in the place of settings.header (a TPDU, say): for Framing::write_header()
// when the message is answered. Of a message in several parts, the first part's.
struct Frame {
  std::span<const std::byte> received_header;
  std::span<const std::byte> message;  // never empty
};

// Takes pieces of any size. One thread.
class FrameCutter {
 public:
  // `framing` outlives it. Allocates for the largest message once, here; twice where messages come in parts.
  explicit FrameCutter(const Framing& framing);

  // Calls `on_message` for each message that is now complete, in order; the spans hold during the call only, and the
  // callable must not feed this object. A message whose body lies whole in `bytes` is not copied, unless it is one of
  // several parts or its delimiter completes what is held. Keep-alives and session control call nothing.
  // No more than the largest frame is ever held, and a length over the limit is an error before any byte behind it is
  // looked at. After an error the stream cannot be trusted: messages before it have been delivered, and every later
  // call returns the same error.
  std::expected<void, FramingError> feed(std::span<const std::byte> bytes,
                                         shm::FunctionRef<void(const Frame&)> on_message);

  // True between messages: nothing of a next one has come.
  [[nodiscard]] bool at_boundary() const { return held_bytes_ == 0 && !in_parts_; }

  // Frames without a message that have come since the beginning. What came in one feed is the difference.
  [[nodiscard]] std::uint64_t keep_alives() const { return keep_alives_; }
  // The last of them, byte for byte: its echo. Empty before the first. Holds until the next feed.
  [[nodiscard]] std::span<const std::byte> last_keep_alive() const {
    return std::span(last_keep_alive_).first(last_keep_alive_bytes_);
  }

  // Frames of session control that have come since the beginning.
  [[nodiscard]] std::uint64_t controls() const { return controls_; }

 private:
  using Bytes = std::span<const std::byte>;
  using OnMessage = shm::FunctionRef<void(const Frame&)>;
  using Rest = std::expected<Bytes, FramingError>;  // what is still to be cut

  Rest finish_held(Bytes bytes, OnMessage on_message);
  Rest cut_whole(Bytes bytes, OnMessage on_message);
  Rest finish_held_delimited(Bytes bytes, OnMessage on_message);
  Rest cut_whole_delimited(Bytes bytes, OnMessage on_message);
  Bytes hold(Bytes bytes, std::size_t wanted_bytes);

  [[nodiscard]] std::expected<FrameHead, FramingError> read_head(Bytes head) const;
  std::expected<void, FramingError> accept_delimited(Bytes frame, OnMessage on_message);
  std::expected<void, FramingError> accept(FrameKind kind, Bytes head, Bytes body, OnMessage on_message);
  void count_keep_alive(Bytes head, Bytes body);
  void join(FrameKind kind, const Frame& part, OnMessage on_message);

  const Framing* framing_;
  std::vector<std::byte> held_;  // the beginning of a frame that is not complete yet
  std::size_t held_bytes_ = 0;
  std::vector<std::byte> joined_;  // the first part's header, then the message as far as it has come
  std::size_t joined_bytes_ = 0;   // of the message
  bool in_parts_ = false;
  std::array<std::byte, config::kFrameHeaderBytesMax + config::kFrameTrailerBytesMax> last_keep_alive_{};
  std::size_t last_keep_alive_bytes_ = 0;
  std::uint64_t keep_alives_ = 0;
  std::uint64_t controls_ = 0;
  std::optional<FramingError> failed_;
};

}  // namespace tlsmux::engine::message
