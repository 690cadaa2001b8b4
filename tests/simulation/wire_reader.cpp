#include "tests/simulation/wire_reader.hpp"

#include "engine/tls/record/record_format.hpp"
#include "tests/support/plain_tls.hpp"

namespace tlsmux::simulation {

using engine::tls::ContentType;
using test::kPlainHeaderBytes;
using test::PlainType;

namespace {

RecordKind kind_of(PlainType type) {
  switch (type) {
    case PlainType::data: return RecordKind::data;
    case PlainType::close_notify: return RecordKind::close_notify;
    default: return RecordKind::tls;
  }
}

// A record of the handshake, where TLS lets some bits of the header be anything: one that is spoilt may pass.
bool may_be_spoilt_in_vain(std::byte type) {
  return type == std::byte(ContentType::handshake) || type == std::byte(ContentType::change_cipher_spec);
}

}  // namespace

std::expected<std::optional<WireRecord>, std::string> WireReader::first(std::span<const std::byte> wire) const {
  if (notes_ == nullptr) return first_plain(wire);
  const auto bytes = tls_record_bytes(wire);
  if (!bytes) return std::unexpected(bytes.error());
  if (!*bytes || **bytes > wire.size()) return std::nullopt;
  auto note = notes_->take(wire.first(**bytes));
  if (!note && !may_be_spoilt_in_vain(wire[0])) return std::unexpected("a record that nobody has sealed so");
  if (!note) note.emplace();
  return WireRecord{.kind = note->kind, .content = std::move(note->plaintext), .bytes = **bytes};
}

std::expected<std::optional<WireRecord>, std::string> WireReader::first_plain(std::span<const std::byte> wire) {
  if (wire.size() < kPlainHeaderBytes) return std::nullopt;
  std::size_t length = 0;
  for (std::size_t i = 1; i < kPlainHeaderBytes; ++i) length = length << 8 | std::to_integer<std::size_t>(wire[i]);
  const auto type = std::to_integer<std::uint8_t>(wire[0]);
  if (type < std::uint8_t(PlainType::hello) || type > std::uint8_t(PlainType::close_notify)) {
    return std::unexpected("no record type: " + std::to_string(type));
  }
  if (length > test::kPlainRecordBytesMax) return std::unexpected("a record of " + std::to_string(length) + " bytes");
  const auto bytes = kPlainHeaderBytes + length;
  if (wire.size() < bytes) return std::nullopt;
  const auto content = wire.subspan(kPlainHeaderBytes, length);
  return WireRecord{
      .kind = kind_of(static_cast<PlainType>(type)), .content = {content.begin(), content.end()}, .bytes = bytes};
}

}  // namespace tlsmux::simulation
