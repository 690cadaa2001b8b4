#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::host {

// Offset basis and prime of FNV-1a with 64 bits (Fowler, Noll, Vo).
[[nodiscard]] std::uint64_t fnv1a64(std::string_view bytes);

[[nodiscard]] std::string hex(std::string_view bytes);

// The file of received messages, one line for each:
//   received CONNECTION SEQUENCE KEY_HEX LENGTH FNV1A64_OF_BODY
// CONNECTION and SEQUENCE count from 1 in each run of the program, which begins with a line "started PID".
// KEY_HEX is
// "-" when the message has no key. What was flushed is in the kernel, so that it outlives a SIGKILL.
class Record {
 public:
  // An empty path makes one that keeps nothing. The file is appended to.
  static std::expected<Record, std::string> open(const std::string& path);

  void append(std::uint64_t connection, std::uint64_t sequence, std::string_view key_hex, std::string_view body);

  // Writes what was appended, with one write when the kernel takes it whole. To be called before any answer
  // to those messages is sent.
  std::expected<void, std::string> flush();

 private:
  shm::UniqueFd file_;
  std::string lines_;
};

}  // namespace tlsmux::host
