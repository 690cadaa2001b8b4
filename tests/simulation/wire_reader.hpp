#pragma once

// What the records on a wire hold: of PlainTls they say it themselves, of real TLS whoever has sealed them has noted it.

#include <cstddef>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tests/simulation/seal_notes.hpp"

namespace tlsmux::simulation {

struct WireRecord {
  RecordKind kind = RecordKind::tls;
  std::vector<std::byte> content;  // of data
  std::size_t bytes = 0;           // on the wire
};

class WireReader {
 public:
  // Null: PlainTls.
  explicit WireReader(SealNotes* notes) : notes_(notes) {}

  // The first record of `wire`. Nothing: it is not whole. Error: it is no record, or none that anybody has sealed.
  [[nodiscard]] std::expected<std::optional<WireRecord>, std::string> first(std::span<const std::byte> wire) const;

 private:
  static std::expected<std::optional<WireRecord>, std::string> first_plain(std::span<const std::byte> wire);

  SealNotes* notes_;
};

}  // namespace tlsmux::simulation
