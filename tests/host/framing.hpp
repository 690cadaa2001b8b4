#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

// Frames on a byte stream, as payment hosts lay them out.
namespace tlsmux::host {

enum class LengthEncoding : std::uint8_t {
  binary,                // most significant byte first
  binary_little_endian,  // least significant byte first
  ascii,                 // decimal digits
  hex,                   // hexadecimal digits
  bcd                    // two decimal digits in a byte
};

// Either: before, length, after, body, trailer. The length counts body and trailer, and its own bytes if
// `length_includes_itself`. Or, where length_bytes is 0: start, body, delimiter.
struct Framing {
  LengthEncoding encoding = LengthEncoding::binary;
  std::size_t length_bytes = 2;
  bool length_includes_itself = false;
  std::string before = {};
  std::string after = {};
  std::string after_more = {};   // stands for `after` where the message goes on in the next frame
  bool session_control = false;  // VML: a frame whose second byte after the length is 0x20 to 0x2f is no message
  std::string trailer = {};
  std::string start = {};
  std::string delimiter = {};
  std::size_t message_bytes_max = 65535;
};

struct Frame {
  std::string_view body;        // empty: a keep-alive, unless it is one of the two below
  std::size_t bytes_total = 0;  // with all that stands around the body
  bool more = false;            // the message goes on in the next frame
  bool control = false;         // session control
};

// The first frame of `bytes`, pointing into them; nullopt while it is incomplete. The error says why the
// stream can no longer be trusted; what is wrong with a header is told as soon as the header is there.
[[nodiscard]] std::expected<std::optional<Frame>, const char*> first_frame(const Framing& framing,
                                                                           std::string_view bytes);

// The longest body whose length the header can say; for delimited frames the limit.
[[nodiscard]] std::size_t length_max(const Framing& framing);

// Appends a frame. `body` has at most length_max() bytes; an empty one makes a keep-alive. `more` is for
// framings with `after_more`.
void append_frame(const Framing& framing, std::string_view body, std::string& out, bool more = false);

// Appends the beginning of a frame that no receiver can want: a header with the longest length that it can
// say, or more bytes than the limit without a delimiter.
void append_oversize(const Framing& framing, std::string& out);

}  // namespace tlsmux::host
