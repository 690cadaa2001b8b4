#include "engine/streams/stream_output.hpp"

#include <algorithm>

#include "shm/assert.hpp"
#include "shm/control_protocol.hpp"
#include "shm/wipe.hpp"

namespace tlsmux::engine::streams {
namespace {

constexpr std::size_t kKeptBytesMax = 64 * 1024;  // of memory that is empty

}  // namespace

void StreamOutput::add(const void* bytes, std::size_t count) {
  const auto* const from = static_cast<const std::byte*>(bytes);
  waiting_.insert(waiting_.end(), from, from + count);
}

void StreamOutput::add_header(shm::StreamRecordType type, std::size_t bytes) {
  const auto header = shm::stream_record(type, static_cast<std::uint32_t>(bytes));
  add(&header, sizeof header);
}

void StreamOutput::add_opened(const tls::PeerFacts& facts) {
  shm::StreamOpened opened;
  opened.tls_version = facts.version_number;
  opened.cipher_suite = facts.suite_number;
  opened.resumed = facts.resumed ? 1 : 0;
  shm::set_text(opened.alpn, facts.alpn);
  shm::set_text(opened.server_name, facts.server_name);
  std::span<const std::vector<std::byte>> certificates;
  if (facts.certificates) certificates = *facts.certificates;
  std::size_t bytes = sizeof opened;
  for (const auto& certificate : certificates) {
    if (bytes + sizeof(std::uint32_t) + certificate.size() > shm::kStreamOpenedBytesMax) break;
    bytes += sizeof(std::uint32_t) + certificate.size();
    ++opened.certificates;
  }
  add_header(shm::StreamRecordType::opened, bytes);
  add(&opened, sizeof opened);
  for (const auto& certificate : certificates.first(opened.certificates)) {
    const auto length = static_cast<std::uint32_t>(certificate.size());
    add(&length, sizeof length);
    add(certificate.data(), certificate.size());
  }
}

void StreamOutput::add_data(std::span<const std::span<const std::byte>> parts) {
  std::size_t left = 0;
  for (const auto part : parts) left += part.size();
  std::size_t room = 0;  // in the record that was begun last
  for (auto part : parts) {
    while (!part.empty()) {
      if (room == 0) {
        room = std::min<std::size_t>(left, shm::kStreamDataBytesMax);
        add_header(shm::StreamRecordType::data, room);
      }
      const auto piece = part.first(std::min(room, part.size()));
      add(piece.data(), piece.size());
      part = part.subspan(piece.size());
      room -= piece.size();
      left -= piece.size();
    }
  }
}

void StreamOutput::add_probe() { add_header(shm::StreamRecordType::data, 0); }

void StreamOutput::add_closed() { add_header(shm::StreamRecordType::closed, 0); }

void StreamOutput::add_end(shm::StreamRecordType type, shm::Reason reason, std::string_view words, bool maybe_sent) {
  shm::StreamLost end;
  end.reason = static_cast<std::uint32_t>(reason);
  end.maybe_sent = maybe_sent ? 1 : 0;
  shm::set_text(end.text, words);
  add_header(type, sizeof end);
  add(&end, sizeof end);
}

std::span<const std::byte> StreamOutput::next() {
  if (taken_ == sending_.size()) {
    shm::wipe(sending_);
    sending_.clear();
    taken_ = 0;
    if (sending_.capacity() > kKeptBytesMax) std::vector<std::byte>().swap(sending_);
    std::swap(sending_, waiting_);
  }
  return std::span(sending_).subspan(taken_);
}

void StreamOutput::taken(std::size_t bytes) {
  TMX_ASSERT(bytes <= sending_.size() - taken_);
  taken_ += bytes;
}

}  // namespace tlsmux::engine::streams
