#pragma once

// What lies in the sealed records of a world with real TLS: whoever seals one notes it under the record's digest, so that
// whoever meets the record on a wire can look it up.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tlsmux::simulation {

enum class RecordKind : std::uint8_t { tls, data, close_notify };  // tls: handshakes, tickets, key updates, alerts

struct SealNote {
  RecordKind kind = RecordKind::tls;
  std::vector<std::byte> plaintext;  // of data
};

// Bytes of the TLS record that `wire` begins with, whether or not all of it is there. Nothing: its header is not.
std::expected<std::optional<std::size_t>, std::string> tls_record_bytes(std::span<const std::byte> wire);

class SealNotes {
 public:
  // `sealed` are whole records. Those of data hold as much of the plaintext as goes into a record, one after the other.
  void note(std::span<const std::byte> sealed, RecordKind kind, std::span<const std::byte> plaintext = {});
  // As often as it was noted: records that are not encrypted yet may be the same. Nothing: nobody has sealed it so.
  std::optional<SealNote> take(std::span<const std::byte> record);

 private:
  std::multimap<std::uint64_t, SealNote> notes_;  // by digest of the record
};

}  // namespace tlsmux::simulation
