#include "tests/host/envelope.hpp"

#include <algorithm>

namespace tlsmux::host {
namespace {

constexpr std::size_t kTpduBytes = 5;

// VISA BASE I header: length (1), flag and format (1), text format (1), total length (2), destination
// station (3), source station (3), then flags that do not matter here; 22 bytes.
constexpr std::size_t kBase1Bytes = 22;
constexpr std::size_t kFlagAt = 1;
constexpr unsigned char kAnotherFollows = 0x80;
constexpr std::size_t kTotalLengthAt = 3;
constexpr std::size_t kDestinationAt = 5;
constexpr std::size_t kSourceAt = 8;
constexpr std::size_t kStationBytes = 3;

std::size_t byte_at(std::string_view bytes, std::size_t place) { return static_cast<unsigned char>(bytes[place]); }

std::size_t base1_bytes(std::string_view bytes) {
  std::size_t length = 0;
  while (true) {
    const auto header = bytes.substr(length);
    if (header.size() <= kFlagAt) return 0;
    const std::size_t own = byte_at(header, 0);
    if (own < kSourceAt + kStationBytes || own > header.size()) return 0;
    length += own;
    if ((byte_at(header, kFlagAt) & kAnotherFollows) == 0) return length;
  }
}

}  // namespace

std::expected<Envelope, const char*> open_envelope(const EnvelopeOptions& options, std::string_view body) {
  Envelope envelope;
  if (!options.tpdu.empty()) {
    if (body.size() < kTpduBytes) return std::unexpected("the message ends within the TPDU");
    envelope.tpdu = body.substr(0, kTpduBytes);
    body.remove_prefix(kTpduBytes);
  }
  std::size_t header_bytes = 0;
  if (options.base1) {
    header_bytes = base1_bytes(body);
    if (header_bytes == 0) return std::unexpected("the message does not begin with a BASE I header");
  }
  envelope.header = body.substr(0, header_bytes);
  envelope.message = body.substr(header_bytes);
  return envelope;
}

std::string swapped_tpdu(std::string_view tpdu) {
  if (tpdu.empty()) return {};
  return std::string(tpdu.substr(0, 1)).append(tpdu.substr(3, 2)).append(tpdu.substr(1, 2));
}

std::string swapped_base1(std::string_view header) {
  std::string swapped(header);
  for (std::size_t at = 0; at < swapped.size(); at += byte_at(header, at)) {
    const auto destination = swapped.begin() + static_cast<std::ptrdiff_t>(at + kDestinationAt);
    std::swap_ranges(destination, destination + kStationBytes, destination + (kSourceAt - kDestinationAt));
  }
  return swapped;
}

std::string base1_header(std::size_t message_bytes) {
  std::string header(kBase1Bytes, '\0');
  header[0] = static_cast<char>(kBase1Bytes);
  header[kFlagAt] = 0x01;
  header[2] = 0x02;
  const std::size_t total = kBase1Bytes + message_bytes;
  header[kTotalLengthAt] = static_cast<char>(total >> 8 & 0xff);
  header[kTotalLengthAt + 1] = static_cast<char>(total & 0xff);
  std::ranges::copy(std::string_view("\x11\x22\x33\x44\x55\x66"),
                    header.begin() + static_cast<std::ptrdiff_t>(kDestinationAt));
  return header;
}

}  // namespace tlsmux::host
