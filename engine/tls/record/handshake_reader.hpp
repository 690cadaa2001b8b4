#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <vector>

#include "engine/tls/alert.hpp"
#include "engine/tls/record/record_format.hpp"

namespace tlsmux::engine::tls {

struct HandshakeMessage {
  PostHandshakeType type{};          // any value: the peer chose it
  std::span<const std::byte> bytes;  // with the header; valid until the next call
  [[nodiscard]] std::span<const std::byte> body() const { return bytes.subspan(kHandshakeHeaderBytes); }
};

// Joins and cuts handshake messages, which do not keep to the bounds of records (RFC 8446 section 5.1, RFC 5246 section
// 6.2.1). Allocates only for a message of more than a few hundred bytes that lies in several records.
class HandshakeReader {
 public:
  static constexpr std::size_t kMessageBytesMax = std::size_t{64} * 1024;

  HandshakeReader() { held_.reserve(kHeldBytesReserved); }

  // Takes bytes off the front of a record's content up to the end of the next message. Nothing: all is consumed, and what
  // was left of it begins a message that goes on in the next record.
  std::expected<std::optional<HandshakeMessage>, Alert> next(std::span<const std::byte>& content);

  // Then no record of another type may come.
  [[nodiscard]] bool is_within_message() const { return !is_given_ && !held_.empty(); }

 private:
  static constexpr std::size_t kHeldBytesReserved = 512;

  bool hold_up_to(std::size_t size, std::span<const std::byte>& content);

  std::vector<std::byte> held_;
  bool is_given_ = false;  // what is held was given out as a message
};

}  // namespace tlsmux::engine::tls
