#include "engine/tls/record/handshake_reader.hpp"

#include <algorithm>
#include <utility>

namespace tlsmux::engine::tls {
namespace {

std::size_t message_bytes(std::span<const std::byte> header) {
  return kHandshakeHeaderBytes + (std::to_integer<std::size_t>(header[1]) << 16 |
                                  std::to_integer<std::size_t>(header[2]) << 8 |
                                  std::to_integer<std::size_t>(header[3]));
}

HandshakeMessage message_of(std::span<const std::byte> bytes) {
  return {.type = static_cast<PostHandshakeType>(bytes[0]), .bytes = bytes};
}

}  // namespace

std::expected<std::optional<HandshakeMessage>, Alert> HandshakeReader::next(std::span<const std::byte>& content) {
  if (std::exchange(is_given_, false)) held_.clear();
  if (content.empty()) return std::nullopt;
  if (held_.empty() && content.size() >= kHandshakeHeaderBytes && message_bytes(content) <= content.size()) {
    const auto bytes = content.first(message_bytes(content));
    content = content.subspan(bytes.size());
    return message_of(bytes);
  }
  if (!hold_up_to(kHandshakeHeaderBytes, content)) return std::nullopt;
  const std::size_t size = message_bytes(held_);
  if (size > kMessageBytesMax) return std::unexpected(Alert::decode_error);
  if (!hold_up_to(size, content)) return std::nullopt;
  is_given_ = true;
  return message_of(held_);
}

bool HandshakeReader::hold_up_to(std::size_t size, std::span<const std::byte>& content) {
  if (held_.size() < size) {
    const auto piece = content.first(std::min(size - held_.size(), content.size()));
    held_.insert(held_.end(), piece.begin(), piece.end());
    content = content.subspan(piece.size());
  }
  return held_.size() >= size;
}

}  // namespace tlsmux::engine::tls
