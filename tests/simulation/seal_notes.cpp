#include "tests/simulation/seal_notes.hpp"

#include <algorithm>

#include "engine/tls/record/record_format.hpp"
#include "shm/assert.hpp"
#include "tests/simulation/message.hpp"

namespace tlsmux::simulation {

using engine::tls::ContentType;
using engine::tls::kPlaintextBytesMax;
using engine::tls::kRecordHeaderBytes;

namespace {

constexpr std::size_t kCiphertextBytesMax = kPlaintextBytesMax + 256;  // RFC 8446 section 5.2

}  // namespace

std::expected<std::optional<std::size_t>, std::string> tls_record_bytes(std::span<const std::byte> wire) {
  if (wire.empty()) return std::nullopt;
  const auto type = std::to_integer<std::uint8_t>(wire[0]);
  if (type < std::uint8_t(ContentType::change_cipher_spec) || type > std::uint8_t(ContentType::application_data)) {
    return std::unexpected("no type of a TLS record: " + std::to_string(type));
  }
  if (wire.size() < kRecordHeaderBytes) return std::nullopt;
  const auto length = std::to_integer<std::size_t>(wire[3]) << 8 | std::to_integer<std::size_t>(wire[4]);
  if (length > kCiphertextBytesMax) return std::unexpected("a TLS record of " + std::to_string(length) + " bytes");
  return kRecordHeaderBytes + length;
}

void SealNotes::note(std::span<const std::byte> sealed, RecordKind kind, std::span<const std::byte> plaintext) {
  while (!sealed.empty()) {
    const auto bytes = tls_record_bytes(sealed);
    TMX_ASSERT(bytes && *bytes && **bytes <= sealed.size());
    const auto content = plaintext.first(std::min(plaintext.size(), kPlaintextBytesMax));
    notes_.emplace(digest_of(sealed.first(**bytes)),
                   SealNote{.kind = kind, .plaintext = {content.begin(), content.end()}});
    plaintext = plaintext.subspan(content.size());
    sealed = sealed.subspan(**bytes);
  }
  TMX_ASSERT(plaintext.empty());
}

std::optional<SealNote> SealNotes::take(std::span<const std::byte> record) {
  auto found = notes_.extract(digest_of(record));
  if (found.empty()) return std::nullopt;
  return std::move(found.mapped());
}

}  // namespace tlsmux::simulation
