#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

// Length-prefixed frames on a byte stream.
namespace tlsmux::host {

enum class FramingKind : std::uint8_t {
  length16,  // 2 bytes, most significant first
  length32,  // 4 bytes, most significant first
  ascii4     // 4 ASCII decimal digits
};

struct Framing {
  FramingKind kind = FramingKind::length16;
  bool length_includes_itself = false;
  std::size_t message_bytes_max = 65535;
};

struct Frame {
  std::string_view body;        // empty: a keep-alive
  std::size_t bytes_total = 0;  // header and body
};

[[nodiscard]] std::size_t header_bytes(FramingKind kind);

// The longest body whose length the header can say.
[[nodiscard]] std::size_t length_max(const Framing& framing);

// The first frame of `bytes`, pointing into them; nullopt while it is incomplete. The error says why the
// stream can no longer be trusted; it is told as soon as the header is there.
[[nodiscard]] std::expected<std::optional<Frame>, const char*> first_frame(const Framing& framing,
                                                                           std::string_view bytes);

// Appends a header for a body of `length` bytes, at most length_max().
void append_header(const Framing& framing, std::size_t length, std::string& out);

}  // namespace tlsmux::host
