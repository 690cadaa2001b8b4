#include "engine/tls/record/record_protection.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>

#include "shm/assert.hpp"

namespace tlsmux::engine::tls {
namespace {

// What a cipher reads right after it was written is written in one piece of sixteen bytes: a processor that finds it in
// pieces waits for all of them to reach its cache, which costs as much as encrypting a hundred bytes.
using Lanes = std::uint64_t __attribute__((vector_size(16)));

// The value whose bytes in memory are those of `number`, the highest first; and back.
std::uint64_t big_endian(std::uint64_t number) {
  return std::endian::native == std::endian::little ? std::byteswap(number) : number;
}

std::uint64_t read_big_endian(std::span<const std::byte, 8> bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), bytes.size());
  return big_endian(value);
}

// The five bytes of a header as a number. TLS 1.3 keeps the version of 1.2 on the wire (RFC 8446 section 5.2).
constexpr unsigned kBitsBehindHeader = 8 * (8 - kRecordHeaderBytes);

std::uint64_t header_of(ContentType type, std::size_t bytes) {
  return std::uint64_t{std::to_underlying(type)} << 32 | std::uint64_t{kTls12} << 16 | bytes;
}

// What is authenticated but not encrypted.
class AdditionalData {
 public:
  // RFC 8446 section 5.2 takes the record's header as it is; RFC 5246 section 6.2.3.3 takes the sequence number and the
  // header, but with the length of the plaintext.
  AdditionalData(const RecordSuite& suite, std::uint64_t sequence, std::uint64_t header, std::size_t text_bytes)
      : size_(suite.version == kTls13 ? kRecordHeaderBytes : sizeof sequence + kRecordHeaderBytes) {
    const auto with_text_bytes = (header & ~std::uint64_t{0xFFFF}) | text_bytes;
    const auto lanes = suite.version == kTls13
                           ? Lanes{big_endian(header << kBitsBehindHeader), 0}
                           : Lanes{big_endian(sequence), big_endian(with_text_bytes << kBitsBehindHeader)};
    std::memcpy(bytes_.data(), &lanes, sizeof lanes);
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return std::span(bytes_).first(size_); }

 private:
  alignas(Lanes) std::array<std::byte, sizeof(Lanes)> bytes_;
  std::size_t size_;
};

}  // namespace

std::unique_ptr<RecordProtection> RecordProtection::make(const RecordSuite& suite, AeadLibrary library,
                                                         const TrafficKey& key) {
  auto aead = make_aead(library, suite.aead, key.key_of(suite.aead));
  if (aead == nullptr) return nullptr;
  return std::make_unique<RecordProtection>(suite, std::move(aead), key.iv);
}

RecordProtection::RecordProtection(const RecordSuite& suite, std::unique_ptr<Aead> aead, const AeadNonce& iv)
    : suite_(suite), aead_(std::move(aead)) {
  iv_->bytes = iv;
}

void RecordProtection::advance_key(std::span<std::uint8_t> secret) {
  TMX_ASSERT(suite_.version == kTls13);
  advance_secret(suite_.hash, secret);
  Wiped<TrafficKey> key;
  derive_traffic_key(suite_, secret, *key);
  aead_->set_key(key->key_of(suite_.aead));
  iv_->bytes = key->iv;
}

// The number lies in the last eight bytes, where the IV has zeros if there is an explicit nonce.
void RecordProtection::make_nonce(std::uint64_t number, PaddedNonce& nonce) const {
  Lanes lanes{};
  if constexpr (std::endian::native == std::endian::little) {
    const auto swapped = std::byteswap(number);
    lanes = Lanes{swapped << 32, swapped >> 32};
  } else {
    lanes = Lanes{number >> 32, number << 32};
  }
  lanes ^= std::bit_cast<Lanes>(*iv_);
  std::memcpy(&nonce, &lanes, sizeof nonce);
}

std::size_t RecordProtection::seal(std::uint64_t sequence, ContentType type,
                                   std::span<const std::span<const std::byte>> parts, std::span<std::byte> output) {
  std::size_t text_bytes = 0;
  for (const auto part : parts) text_bytes += part.size();
  const std::size_t record_bytes = text_bytes + suite_.overhead_bytes();
  TMX_ASSERT(text_bytes <= kPlaintextBytesMax && record_bytes <= output.size());

  const auto outer_type = suite_.version == kTls13 ? ContentType::application_data : type;
  const auto header = header_of(outer_type, record_bytes - kRecordHeaderBytes);
  const auto header_bytes = big_endian(header << kBitsBehindHeader);
  std::memcpy(output.data(), &header_bytes,
              sizeof header_bytes);  // three bytes too many, which the body is written over
  auto body = output.first(record_bytes).subspan(kRecordHeaderBytes);
  if (suite_.has_explicit_nonce()) {
    // It must never be used twice: RFC 5288 section 3 allows the sequence number.
    const auto explicit_part = big_endian(sequence);
    std::memcpy(body.data(), &explicit_part, sizeof explicit_part);
    body = body.subspan(sizeof explicit_part);
  }
  const AdditionalData additional(suite_, sequence, header, text_bytes);
  PaddedNonce nonce;
  make_nonce(sequence, nonce);
  // In TLS 1.3 the type stands behind the content, and comes from here: the parts may lie in a client's memory.
  const auto inner_type = suite_.version == kTls13 ? std::optional(std::byte(type)) : std::nullopt;
  aead_->seal(nonce.bytes, additional.bytes(), parts, inner_type, body);
  return record_bytes;
}

std::expected<std::size_t, Alert> RecordProtection::record_bytes(
    std::span<const std::byte, kRecordHeaderBytes> header) const {
  const auto type = static_cast<ContentType>(header[0]);
  const std::size_t bytes =
      kRecordHeaderBytes + (std::to_integer<std::size_t>(header[3]) << 8 | std::to_integer<std::size_t>(header[4]));
  if (suite_.version == kTls13) {
    // No plaintext record has a place after the handshake, and the version means nothing (RFC 8446 section 5).
    if (type != ContentType::application_data) return std::unexpected(Alert::unexpected_message);
  } else {
    if (type < ContentType::change_cipher_spec || type > ContentType::application_data) {
      return std::unexpected(Alert::unexpected_message);
    }
    const bool has_version = header[1] == std::byte(kTls12 >> 8) && header[2] == std::byte(kTls12 & 0xFF);
    if (!has_version) return std::unexpected(Alert::protocol_version);
  }
  // The plaintext is exactly so much shorter, so its limit (RFC 8446 section 5.4, RFC 5246 section 6.2.1) is judged here.
  if (bytes < suite_.overhead_bytes()) return std::unexpected(Alert::bad_record_mac);
  if (bytes > kPlaintextBytesMax + suite_.overhead_bytes()) return std::unexpected(Alert::record_overflow);
  return bytes;
}

std::expected<void, Alert> RecordProtection::open(std::uint64_t sequence, std::span<std::byte> record,
                                                  OpenedRecord& opened) {
  return suite_.version == kTls13 ? open_1_3(sequence, record, opened) : open_1_2(sequence, record, opened);
}

std::expected<void, Alert> RecordProtection::open_1_3(std::uint64_t sequence, std::span<std::byte> record,
                                                      OpenedRecord& opened) {
  const auto sealed = record.subspan(kRecordHeaderBytes);
  const auto text = sealed.first(sealed.size() - kAeadTagBytes);
  PaddedNonce nonce;
  make_nonce(sequence, nonce);
  // What is authenticated but not encrypted is the header as it came (RFC 8446 section 5.2).
  if (!aead_->open(nonce.bytes, record.first(kRecordHeaderBytes), sealed, text)) {
    return std::unexpected(Alert::bad_record_mac);
  }
  // The type is the last byte that is not zero (RFC 8446 section 5.4).
  std::size_t end = text.size();
  while (end > 0 && text[end - 1] == std::byte{0}) --end;
  if (end == 0) return std::unexpected(Alert::unexpected_message);
  opened = {static_cast<ContentType>(text[end - 1]), text.first(end - 1)};
  return {};
}

std::expected<void, Alert> RecordProtection::open_1_2(std::uint64_t sequence, std::span<std::byte> record,
                                                      OpenedRecord& opened) {
  const auto header = read_big_endian(record.first<8>()) >> kBitsBehindHeader;
  auto number = sequence;
  auto sealed = record.subspan(kRecordHeaderBytes);
  if (suite_.has_explicit_nonce()) {
    number = read_big_endian(sealed.first<sizeof number>());
    sealed = sealed.subspan(sizeof number);
  }
  const auto text = sealed.first(sealed.size() - kAeadTagBytes);
  const AdditionalData additional(suite_, sequence, header, text.size());
  PaddedNonce nonce;
  make_nonce(number, nonce);
  if (!aead_->open(nonce.bytes, additional.bytes(), sealed, text)) {
    return std::unexpected(Alert::bad_record_mac);
  }
  opened = {static_cast<ContentType>(header >> 32), text};
  return {};
}

}  // namespace tlsmux::engine::tls
