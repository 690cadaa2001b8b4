#include "engine/wrapper/stream_start.hpp"

#include <cstdint>
#include <cstring>

#include "shm/control_protocol.hpp"

namespace tlsmux::engine::wrapper {

std::optional<std::string> alpn_of(const shm::StreamStart& start) {
  std::size_t end = 0;
  while (end < start.alpn.size()) {
    const auto length = static_cast<std::uint8_t>(start.alpn[end]);
    if (length == 0) break;
    end += 1 + length;
  }
  if (end > start.alpn.size()) return std::nullopt;
  return std::string(start.alpn.data(), end);
}

std::vector<std::byte> refused_record(shm::Reason reason, std::string_view words) {
  shm::StreamLost body{.reason = static_cast<std::uint32_t>(reason)};
  shm::set_text(body.text, words);
  const auto header = shm::stream_record(shm::StreamRecordType::refused, sizeof body);
  std::vector<std::byte> record(sizeof header + sizeof body);
  std::memcpy(record.data(), &header, sizeof header);
  std::memcpy(record.data() + sizeof header, &body, sizeof body);
  return record;
}

}  // namespace tlsmux::engine::wrapper
