#include "engine/tls/record/record_receiver.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "shm/assert.hpp"
#include "shm/shared_copy.hpp"

namespace tlsmux::engine::tls {

RecordReceiver::RecordReceiver(SessionState& state, const RecordSuite& suite,
                               std::unique_ptr<RecordProtection> protection)
    : state_(&state), suite_(suite), protection_(std::move(protection)), partial_(kRecordBytesMax) {}

std::expected<const OpenedRecord*, Alert> RecordReceiver::next(std::span<std::byte>& received) {
  forget();
  std::span<std::byte> record;
  if (held_ == 0 && received.size() >= kRecordHeaderBytes) {
    const auto bytes = protection_->record_bytes(received.first<kRecordHeaderBytes>());
    if (!bytes) return std::unexpected(bytes.error());
    if (*bytes <= received.size()) {
      record = received.first(*bytes);
      received = received.subspan(*bytes);
    }
  }
  if (record.empty()) {
    const auto joined = next_in_pieces(received);
    if (!joined) return std::unexpected(joined.error());
    if (joined->empty()) return nullptr;
    record = *joined;
  }
  // A peer that goes on without updating its key is not answered, as if the record did not verify.
  if (state_->receive_sequence == std::numeric_limits<std::uint64_t>::max()) {
    return std::unexpected(Alert::bad_record_mac);
  }
  if (const auto opened = protection_->open(state_->receive_sequence, record, opened_); !opened) {
    return std::unexpected(opened.error());
  }
  ++state_->receive_sequence;
  return &opened_;
}

// The record that has come in pieces; nothing as long as it is not whole.
std::expected<std::span<std::byte>, Alert> RecordReceiver::next_in_pieces(std::span<std::byte>& received) {
  constexpr std::span<std::byte> kNothing;
  if (!hold_up_to(kRecordHeaderBytes, received)) return kNothing;
  const auto bytes = protection_->record_bytes(partial_.bytes().first<kRecordHeaderBytes>());
  if (!bytes) return std::unexpected(bytes.error());
  if (!hold_up_to(*bytes, received)) return kNothing;
  held_ = 0;
  return partial_.bytes().first(*bytes);
}

// True when so much of the record is there.
bool RecordReceiver::hold_up_to(std::size_t size, std::span<std::byte>& received) {
  if (held_ < size) {
    const auto piece = received.first(std::min(size - held_, received.size()));
    shm::copy_bytes(partial_.bytes().subspan(held_), piece);
    held_ += piece.size();
    received = received.subspan(piece.size());
  }
  return held_ >= size;
}

void RecordReceiver::update_key() {
  TMX_ASSERT(suite_.version == kTls13);
  protection_->advance_key(traffic_secret(*state_, other(state_->role)));
  state_->receive_sequence = 0;
}

std::size_t RecordReceiver::imitate(std::uint64_t sequence, std::span<const std::byte> handshake_message,
                                    std::span<std::byte> output) {
  const std::array parts = {handshake_message};
  return protection_->seal(sequence, ContentType::handshake, parts, output);
}

}  // namespace tlsmux::engine::tls
