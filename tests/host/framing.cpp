#include "tests/host/framing.hpp"

#include "shm/assert.hpp"

namespace tlsmux::host {
namespace {

std::optional<std::size_t> read_length(FramingKind kind, std::string_view header) {
  std::size_t length = 0;
  for (const char c : header) {
    if (kind == FramingKind::ascii4) {
      if (c < '0' || c > '9') return std::nullopt;
      length = length * 10 + static_cast<std::size_t>(c - '0');
    } else {
      length = length << 8 | static_cast<unsigned char>(c);
    }
  }
  return length;
}

}  // namespace

std::size_t header_bytes(FramingKind kind) { return kind == FramingKind::length16 ? 2 : 4; }

std::size_t length_max(const Framing& framing) {
  const std::size_t own = framing.length_includes_itself ? header_bytes(framing.kind) : 0;
  switch (framing.kind) {
    case FramingKind::length16: return 0xffff - own;
    case FramingKind::length32: return 0xffffffff - own;
    case FramingKind::ascii4: return 9999 - own;
  }
  return 0;
}

std::expected<std::optional<Frame>, const char*> first_frame(const Framing& framing, std::string_view bytes) {
  const std::size_t header = header_bytes(framing.kind);
  if (bytes.size() < header) return std::nullopt;
  const auto said = read_length(framing.kind, bytes.substr(0, header));
  if (!said) return std::unexpected("the frame's length is not digits");
  const std::size_t own = framing.length_includes_itself ? header : 0;
  if (*said < own) return std::unexpected("the frame's length is less than its own bytes");
  const std::size_t length = *said - own;
  if (length > framing.message_bytes_max) return std::unexpected("the frame is longer than the limit");
  if (bytes.size() - header < length) return std::nullopt;
  return Frame{bytes.substr(header, length), header + length};
}

void append_header(const Framing& framing, std::size_t length, std::string& out) {
  TMX_ASSERT(length <= length_max(framing));
  const std::size_t header = header_bytes(framing.kind);
  std::size_t said = length + (framing.length_includes_itself ? header : 0);
  out.resize(out.size() + header);
  for (std::size_t i = 1; i <= header; ++i) {
    char& place = out[out.size() - i];
    if (framing.kind == FramingKind::ascii4) {
      place = static_cast<char>('0' + said % 10);
      said /= 10;
    } else {
      place = static_cast<char>(said & 0xff);
      said >>= 8;
    }
  }
}

}  // namespace tlsmux::host
