#pragma once

// Seals and opens single records of one direction. What is in them, and in which order they come, is not its business.

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>

#include "engine/tls/aead.hpp"
#include "engine/tls/alert.hpp"
#include "engine/tls/record/key_schedule.hpp"
#include "engine/tls/record/record_format.hpp"
#include "engine/tls/record/record_suite.hpp"
#include "engine/tls/secret_bytes.hpp"

namespace tlsmux::engine::tls {

struct OpenedRecord {
  ContentType type{};  // any value: the peer chose it
  std::span<std::byte> content;
};

// Neither sealing nor opening allocates.
class RecordProtection {
 public:
  // Null: no memory.
  static std::unique_ptr<RecordProtection> make(const RecordSuite& suite, AeadLibrary library, const TrafficKey& key);
  RecordProtection(const RecordSuite& suite, std::unique_ptr<Aead> aead, const AeadNonce& iv);  // for make()

  // KeyUpdate (RFC 8446 section 7.2): `secret` becomes the next one, and the key is made of that. Requires TLS 1.3. With
  // mbedTLS's AES-GCM this allocates, and throws std::bad_alloc.
  void advance_key(std::span<std::uint8_t> secret);

  // Writes one record to the front of `output` and returns its size, which is that of the parts and the suite's overhead.
  // Requires so much room, and at most kPlaintextBytesMax bytes in all. The parts may change while they are read.
  std::size_t seal(std::uint64_t sequence, ContentType type, std::span<const std::span<const std::byte>> parts,
                   std::span<std::byte> output);

  // The size of the whole record that begins with this header; or what to tell a peer that sends no such records.
  [[nodiscard]] std::expected<std::size_t, Alert> record_bytes(
      std::span<const std::byte, kRecordHeaderBytes> header) const;

  // Decrypts in place one whole record, whose header record_bytes() has accepted. `opened` is written only if it is good.
  std::expected<void, Alert> open(std::uint64_t sequence, std::span<std::byte> record, OpenedRecord& opened);

 private:
  // Sixteen bytes, so that it can be written at once: a processor that reads what was written in pieces waits.
  struct alignas(16) PaddedNonce {
    AeadNonce bytes;
    std::array<std::byte, 4> padding;
  };

  std::expected<void, Alert> open_1_3(std::uint64_t sequence, std::span<std::byte> record, OpenedRecord& opened);
  std::expected<void, Alert> open_1_2(std::uint64_t sequence, std::span<std::byte> record, OpenedRecord& opened);

  // `number` is the explicit part of the nonce, where there is one, else the sequence number.
  void make_nonce(std::uint64_t number, PaddedNonce& nonce) const;

  RecordSuite suite_;
  std::unique_ptr<Aead> aead_;
  Wiped<PaddedNonce> iv_;
};

}  // namespace tlsmux::engine::tls
