#pragma once

// Secrets of sessions in the NSS key log format, which Wireshark and others read: one line for each secret, of a label,
// the client random that tells the session, and the secret, the last two in hexadecimal.

#include <cstdint>
#include <span>
#include <string_view>

namespace tlsmux::engine::tls {

// Where the lines go. Any thread; called during handshakes only, so on worker threads: it may block.
class KeyLog {
 public:
  virtual ~KeyLog() = default;
  // A whole line with its end. It is a secret, not to be kept.
  virtual void append(std::string_view line) noexcept = 0;
};

// Allocates nothing; the text of the line is wiped. Requires a label of at most 32 bytes, a random of 32 and a secret
// of at most 48.
void log_secret(KeyLog& log, std::string_view label, std::span<const std::uint8_t> client_random,
                std::span<const std::uint8_t> secret) noexcept;

}  // namespace tlsmux::engine::tls
