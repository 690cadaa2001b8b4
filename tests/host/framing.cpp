#include "tests/host/framing.hpp"

#include <algorithm>

#include "shm/assert.hpp"

namespace tlsmux::host {
namespace {

using Result = std::expected<std::optional<Frame>, const char*>;

constexpr std::string_view kDigits = "0123456789ABCDEF";

unsigned base(LengthEncoding encoding) {
  switch (encoding) {
    case LengthEncoding::binary:
    case LengthEncoding::binary_little_endian: return 256;
    case LengthEncoding::ascii: return 10;
    case LengthEncoding::hex: return 16;
    case LengthEncoding::bcd: return 100;
  }
  return 0;
}

// What one byte of a length says; nullopt when it is none of the encoding.
std::optional<unsigned> digit(LengthEncoding encoding, char c) {
  const auto byte = static_cast<unsigned char>(c);
  switch (encoding) {
    case LengthEncoding::binary:
    case LengthEncoding::binary_little_endian: return byte;
    case LengthEncoding::ascii:
    case LengthEncoding::hex: {
      const auto value = kDigits.find(c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c);
      if (value >= base(encoding)) return std::nullopt;
      return static_cast<unsigned>(value);
    }
    case LengthEncoding::bcd:
      if (byte >> 4 > 9 || (byte & 0xf) > 9) return std::nullopt;
      return (byte >> 4) * 10U + (byte & 0xfU);
  }
  return std::nullopt;
}

char byte_of(LengthEncoding encoding, std::size_t value) {
  switch (encoding) {
    case LengthEncoding::ascii:
    case LengthEncoding::hex: return kDigits[value];
    case LengthEncoding::bcd: return static_cast<char>(value / 10 << 4 | value % 10);
    default: return static_cast<char>(value);
  }
}

std::optional<std::size_t> read_length(LengthEncoding encoding, std::string_view bytes) {
  std::string ordered(bytes);
  if (encoding == LengthEncoding::binary_little_endian) std::ranges::reverse(ordered);
  std::size_t length = 0;
  for (const char c : ordered) {
    const auto value = digit(encoding, c);
    if (!value) return std::nullopt;
    length = length * base(encoding) + *value;
  }
  return length;
}

void append_length(const Framing& framing, std::size_t said, std::string& out) {
  std::string bytes(framing.length_bytes, '\0');
  for (auto place = bytes.rbegin(); place != bytes.rend(); ++place, said /= base(framing.encoding)) {
    *place = byte_of(framing.encoding, said % base(framing.encoding));
  }
  TMX_ASSERT(said == 0);
  if (framing.encoding == LengthEncoding::binary_little_endian) std::ranges::reverse(bytes);
  out.append(bytes);
}

std::size_t own_bytes(const Framing& framing) { return framing.length_includes_itself ? framing.length_bytes : 0; }

Result first_delimited(const Framing& framing, std::string_view bytes) {
  const auto& start = framing.start;
  if (!bytes.starts_with(std::string_view(start).substr(0, bytes.size()))) {
    return std::unexpected("the frame does not begin as it should");
  }
  if (bytes.size() < start.size()) return std::nullopt;
  const auto end = bytes.find(framing.delimiter, start.size());
  const std::size_t known = (end == std::string_view::npos ? bytes.size() : end) - start.size();
  const std::size_t slack = end == std::string_view::npos ? framing.delimiter.size() - 1 : 0;
  if (known > framing.message_bytes_max + slack) return std::unexpected("the frame is longer than the limit");
  if (end == std::string_view::npos) return std::nullopt;
  return Frame{.body = bytes.substr(start.size(), known), .bytes_total = end + framing.delimiter.size()};
}

// Fills in what the bytes after the length say. False: they are none that the framing knows.
bool read_after(const Framing& framing, std::string_view after, Frame& frame) {
  frame.control = framing.session_control && static_cast<unsigned char>(after[1]) >> 4 == 2;
  frame.more = !framing.after_more.empty() && after == framing.after_more;
  return frame.control || frame.more || after == framing.after;
}

}  // namespace

Result first_frame(const Framing& framing, std::string_view bytes) {
  if (framing.length_bytes == 0) return first_delimited(framing, bytes);
  const std::size_t length_at = framing.before.size();
  const std::size_t after_at = length_at + framing.length_bytes;
  const std::size_t header = after_at + framing.after.size();
  if (bytes.size() < header) return std::nullopt;
  if (!bytes.starts_with(framing.before)) return std::unexpected("not the bytes that stand before a length");
  Frame frame;
  if (!read_after(framing, bytes.substr(after_at, framing.after.size()), frame)) {
    return std::unexpected("not the bytes that stand after a length");
  }
  const auto said = read_length(framing.encoding, bytes.substr(length_at, framing.length_bytes));
  if (!said) return std::unexpected("the frame's length is not digits");
  if (*said < own_bytes(framing)) return std::unexpected("the frame's length is less than its own bytes");
  const std::size_t content = *said - own_bytes(framing);
  frame.bytes_total = header + content;
  if (content == 0) return frame;
  if (content < framing.trailer.size()) return std::unexpected("the frame's length is less than its trailer's");
  const std::size_t length = content - framing.trailer.size();
  if (length > framing.message_bytes_max) return std::unexpected("the frame is longer than the limit");
  if (bytes.size() < frame.bytes_total) return std::nullopt;
  if (bytes.substr(header + length, framing.trailer.size()) != framing.trailer) {
    return std::unexpected("not the bytes that end a frame");
  }
  frame.body = bytes.substr(header, length);
  return frame;
}

std::size_t length_max(const Framing& framing) {
  if (framing.length_bytes == 0) return framing.message_bytes_max;
  std::size_t largest = 1;
  for (std::size_t i = 0; i < framing.length_bytes; ++i) largest *= base(framing.encoding);
  return largest - 1 - own_bytes(framing) - framing.trailer.size();
}

void append_frame(const Framing& framing, std::string_view body, std::string& out, bool more) {
  TMX_ASSERT(body.size() <= length_max(framing));
  if (framing.length_bytes == 0) {
    out.append(framing.start).append(body).append(framing.delimiter);
    return;
  }
  const std::string_view trailer = body.empty() ? std::string_view{} : framing.trailer;
  out.append(framing.before);
  append_length(framing, body.size() + trailer.size() + own_bytes(framing), out);
  out.append(more ? framing.after_more : framing.after).append(body).append(trailer);
}

void append_oversize(const Framing& framing, std::string& out) {
  if (framing.length_bytes == 0) {
    out.append(framing.start).append(framing.message_bytes_max + framing.delimiter.size() + 1, 'x');
    return;
  }
  out.append(framing.before);
  append_length(framing, length_max(framing) + framing.trailer.size() + own_bytes(framing), out);
  out.append(framing.after);
}

}  // namespace tlsmux::host
