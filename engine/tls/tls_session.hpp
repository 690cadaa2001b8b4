#pragma once

// One TLS session as bytes in and bytes out. No socket, no clock of its own. This is the seam behind which the record
// path lies: the multiplexer knows nothing of TLS but this.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/tls/wire_buffer.hpp"
#include "shm/function_ref.hpp"
#include "shm/outcome.hpp"

namespace tlsmux::engine::tls {

struct TlsError {
  shm::Reason reason = shm::Reason::handshake_failed;
  std::string words;  // for people: "certificate verification failed: expired (CN=...)"; no payload
};

// DER, the host's own first. Never changed once it is made, so that sessions and tickets share it.
using PeerCertificates = std::vector<std::vector<std::byte>>;

// What an operator wants to know of a session, and a process that has it for a stream.
struct PeerFacts {
  std::string version;                     // "TLSv1.3"
  std::string suite;                       // IANA name
  std::int64_t certificate_expires_s = 0;  // also of a resumed session; 0: the host showed none
  bool resumed = false;
  std::string alpn{};                // the protocol that the host has chosen; empty: none
  std::uint16_t version_number = 0;  // as on the wire: 0x0303, 0x0304
  std::uint16_t suite_number = 0;    // IANA's
  std::string server_name{};         // that the host's certificate was verified for; empty: it was not
  // As the host showed it; of a resumed session, in the handshake that it goes back to. Null: it showed none.
  std::shared_ptr<const PeerCertificates> certificates{};
};

enum class HandshakeState : std::uint8_t { wants_bytes, done };

enum class OpenState : std::uint8_t { open, closed_by_peer };

class TlsSession {
 public:
  virtual ~TlsSession() = default;

  // ---- Handshake. May take milliseconds of CPU: called on a worker thread, never on a data loop. One thread at a
  // time; handing the session to another thread needs a happens-before, which a mailbox gives.

  // Feeds what came from the host (nothing at first) and appends to `output` what is to be sent, also on failure (the
  // alert). After `done`, bytes of `received` behind the handshake are kept and come out of the first open().
  virtual std::expected<HandshakeState, TlsError> handshake(std::span<const std::byte> received,
                                                            std::vector<std::byte>& output) = 0;
  // After `done`.
  [[nodiscard]] virtual PeerFacts peer_facts() const = 0;

  // ---- Data, after `done`, on the data loop. No allocation, no lock.

  // The most plaintext that one record takes.
  [[nodiscard]] virtual std::size_t record_bytes_max() const = 0;
  // The most bytes that one record adds to the wire beyond its plaintext.
  [[nodiscard]] virtual std::size_t record_overhead_bytes() const = 0;

  // Seals one record from `parts` in their order. Requires a total of 1 to record_bytes_max() bytes and room for the
  // record in `wire`. What is sealed is never sealed again.
  virtual std::expected<void, TlsError> seal(std::span<const std::span<const std::byte>> parts, WireBuffer& wire) = 0;

  // Bytes of TLS's own that the next seal() puts before its record, which are nothing of what is sealed: a key update
  // that is due.
  [[nodiscard]] virtual std::size_t bytes_before_record() const { return 0; }

  // Feeds what came from the host; all of it is consumed, and overwritten: a record that is whole is decrypted where it
  // lies, so that must be private memory. Calls `on_plaintext` with each piece (valid during the call only), which must
  // not call the session. Post-handshake messages are dealt with inside; what they make us send goes to `wire`. After
  // close_notify (closed_by_peer) what follows is ignored; sealing still works.
  virtual std::expected<OpenState, TlsError> open(std::span<std::byte> received,
                                                  shm::FunctionRef<void(std::span<const std::byte>)> on_plaintext,
                                                  WireBuffer& wire) = 0;

  // Appends close_notify, if there is room.
  virtual void close_notify(WireBuffer& wire) = 0;

  // It has protected as many records with one key as it should: another session should take its place soon.
  [[nodiscard]] virtual bool is_worn_out() const { return false; }
};

// Makes sessions to one upstream: holds its configuration, certificates, key and tickets. Any thread.
class TlsClient {
 public:
  virtual ~TlsClient() = default;
  // `server_name` is sent as SNI and verified (RFC 6066 section 3, RFC 9525).
  virtual std::expected<std::unique_ptr<TlsSession>, TlsError> start(const std::string& server_name) = 0;
};

}  // namespace tlsmux::engine::tls
