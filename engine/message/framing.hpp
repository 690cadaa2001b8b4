#pragma once

// What stands around the messages of one upstream. FRAMING.md says what each setting means and has an example of each
// preset. No system call, no clock, no allocation after construction.

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <vector>

#include "config/config.hpp"
#include "config/limits.hpp"
#include "engine/message/framing_error.hpp"

namespace tlsmux::engine::message {

enum class FrameKind : std::uint8_t {
  message,  // or the last part of one
  part,     // the message goes on in the next frame
  control,  // between the two ends only: not for applications
};

// What a frame's bytes up to after_length say of the rest.
struct FrameHead {
  FrameKind kind = FrameKind::message;
  std::size_t body_bytes = 0;  // header, message and trailer; 0 is a keep-alive
};

// Immutable; any thread. In this class the *header* is all that stands before a message on the wire and the *trailer*
// all that stands behind it; the *body* is what a length counts: settings.header, message and settings.trailer.
class Framing {
 public:
  // Requires settings that have passed config_check: above all, the length can state the largest message. Of `http1` and
  // `none`, which cut no messages, only message_bytes_max() may be asked.
  explicit Framing(const config::FramingSettings& settings);

  [[nodiscard]] std::size_t message_bytes_max() const { return message_bytes_max_; }
  [[nodiscard]] bool echoes_keep_alives() const { return echoes_keep_alives_; }
  // False for `http1` and `none`: then nothing is framed, and a FrameCutter is not to be fed.
  [[nodiscard]] bool cuts_messages() const { return length_bytes_ > 0 || is_delimited(); }

  // ---- To send.

  // All that is added to a message: at most kFrameHeaderBytesMax + kFrameTrailerBytesMax.
  [[nodiscard]] std::size_t overhead_bytes() const { return header_bytes() + trailer().size(); }
  [[nodiscard]] std::size_t header_bytes() const { return head_bytes_ + own_header_.size(); }
  // Goes behind each message. Lives as long as this object.
  [[nodiscard]] std::span<const std::byte> trailer() const { return trailer_and_delimiter_; }

  // Requires 1 <= message_bytes <= message_bytes_max() and header.size() == header_bytes(). For the answer to a
  // request of the host, `received_header` is what FrameCutter handed out with that request: where
  // header_swaps_addresses is set, the answer bears it with its addresses exchanged. Otherwise it makes no difference.
  void write_header(std::span<std::byte> header, std::size_t message_bytes,
                    std::span<const std::byte> received_header = {}) const;

  // A frame without a message, as we would send it. Lives as long as this object.
  [[nodiscard]] std::span<const std::byte> keep_alive() const { return keep_alive_; }

  // True where some messages would be cut in two at the host, so that may_be_sent() must judge each. The judged bytes
  // and the sent bytes must be the same private copy: a client can change its slot at any moment.
  [[nodiscard]] bool must_search_messages() const { return is_delimited(); }
  // False when the message holds the delimiter or `start`, or ends so that the delimiter would be found too early.
  [[nodiscard]] bool may_be_sent(std::span<const std::byte> message) const;

  // ---- To receive; for FrameCutter.

  [[nodiscard]] bool is_delimited() const { return !delimiter_.empty(); }
  [[nodiscard]] bool has_parts() const { return !more_after_length_.empty(); }
  // The bytes before the body: up to after_length, or `start`.
  [[nodiscard]] std::size_t head_bytes() const { return head_bytes_; }
  // Of settings.header.
  [[nodiscard]] std::size_t own_header_bytes() const { return own_header_.size(); }
  [[nodiscard]] std::size_t frame_bytes_max() const { return overhead_bytes() + message_bytes_max_; }
  [[nodiscard]] std::span<const std::byte> delimiter() const { return delimiter_; }
  // How many of a body's bytes are a message's.
  [[nodiscard]] std::size_t message_bytes(std::size_t body_bytes) const;

  // Requires !is_delimited() and head.size() == head_bytes().
  [[nodiscard]] std::expected<FrameHead, FramingError> read_head(std::span<const std::byte> head) const;

  // Requires is_delimited(). The size of the frame that `bytes` begins with, or nothing while its end has not come.
  // The first `searched` bytes are known not to hold the end.
  [[nodiscard]] std::expected<std::optional<std::size_t>, FramingError> find_end(std::span<const std::byte> bytes,
                                                                                 std::size_t searched) const;

  // Whether a body that is not empty has room for settings.header and settings.trailer, and ends with the latter.
  [[nodiscard]] std::expected<void, FramingError> check_body(std::span<const std::byte> body) const;

 private:
  using Bytes = std::vector<std::byte>;

  void write_head(std::span<std::byte> head, std::uint64_t length) const;
  [[nodiscard]] std::optional<FrameKind> kind_of(std::span<const std::byte> after_length) const;
  [[nodiscard]] Bytes make_keep_alive() const;
  [[nodiscard]] std::size_t own_bytes() const { return own_header_.size() + own_trailer_bytes_; }

  config::LengthEncoding encoding_;
  std::size_t length_bytes_;
  std::int64_t not_in_body_;  // what the length counts beyond the body; may be negative
  std::size_t message_bytes_max_;
  bool swaps_addresses_;
  bool echoes_keep_alives_;
  Bytes before_length_;  // or `start`
  Bytes after_length_;
  Bytes more_after_length_;
  Bytes control_mask_;
  Bytes control_value_;
  Bytes own_header_;
  std::size_t own_trailer_bytes_;
  Bytes delimiter_;
  Bytes trailer_and_delimiter_;
  std::size_t head_bytes_;
  Bytes keep_alive_;
};

}  // namespace tlsmux::engine::message
