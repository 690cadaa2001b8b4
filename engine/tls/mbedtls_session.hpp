#pragma once

// One session: mbedTLS does the handshake and reads the tickets, RecordLayer does the records. Internal to this folder: it
// includes mbedTLS.

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/tls/bio.hpp"
#include "engine/tls/certificate_check.hpp"
#include "engine/tls/client_context.hpp"
#include "engine/tls/handles.hpp"
#include "engine/tls/locked_memory.hpp"
#include "engine/tls/record/record_layer.hpp"
#include "engine/tls/secret_bytes.hpp"
#include "engine/tls/session_state.hpp"
#include "engine/tls/tls_failure.hpp"
#include "engine/tls/tls_session.hpp"

namespace tlsmux::engine::tls {

// seal() and open() allocate nothing and take no lock, but as RecordLayer says, and when a ticket comes: keeping it copies a
// session, uses PSA's key store, whose mutex handshakes take for moments, and tries the lock of the tickets without waiting.
// After an error the session is of no more use: every further call returns that error.
class MbedtlsSession final : public TlsSession {
 public:
  MbedtlsSession(std::shared_ptr<ClientContext> context, const std::string& server_name);

  // Once, before anything else. Fails for a server name that cannot be verified and when memory is short.
  std::expected<void, TlsError> prepare();

  std::expected<HandshakeState, TlsError> handshake(std::span<const std::byte> received,
                                                    std::vector<std::byte>& output) override;
  [[nodiscard]] PeerFacts peer_facts() const override { return facts_; }
  [[nodiscard]] std::size_t record_bytes_max() const override { return record_bytes_max_; }
  [[nodiscard]] std::size_t record_overhead_bytes() const override { return records_->overhead_bytes(); }
  std::expected<void, TlsError> seal(std::span<const std::span<const std::byte>> parts, WireBuffer& wire) override;
  [[nodiscard]] std::size_t bytes_before_record() const override { return records_->bytes_before_record(); }
  std::expected<OpenState, TlsError> open(std::span<std::byte> received,
                                          shm::FunctionRef<void(std::span<const std::byte>)> on_plaintext,
                                          WireBuffer& wire) override;
  void close_notify(WireBuffer& wire) override;
  [[nodiscard]] bool is_worn_out() const override;

  // What another record layer needs to go on from here. After `done`.
  void copy_state(Wiped<SessionState>& state) const;

 private:
  enum class Phase : std::uint8_t { handshake, data, failed };

  static void export_keys(void* session, mbedtls_ssl_key_export_type type, const unsigned char* secret,
                          std::size_t secret_size, const unsigned char* client_random,
                          const unsigned char* server_random, mbedtls_tls_prf_types prf);

  [[nodiscard]] bool is_tls_1_2() const;
  [[nodiscard]] std::int64_t certificate_end_s() const;
  void offer_ticket();
  void observe_step(int state_before);
  int step_handshake();
  std::expected<void, TlsError> finish_handshake();
  std::expected<void, TlsError> take_over_records();
  void note_facts();
  std::expected<void, Alert> take_ticket(std::span<const std::byte> message);
  void keep_ticket();
  [[nodiscard]] std::optional<int> unoffered_suite() const;
  TlsError fail(TlsError error);
  TlsError fail_handshake(int code);
  TlsError fail_data(const RecordFault& fault);

  std::shared_ptr<ClientContext> context_;
  std::string key_name_;  // of the tickets: the server name as given
  CertificateCheck check_;
  std::optional<Ticket> offered_ticket_;
  Bio bio_;
  std::unique_ptr<SslContext> ssl_;  // points into what stands above; after the handshake only while tickets may come
  std::unique_ptr<Locked<SessionState>> state_;
  std::unique_ptr<RecordLayer> records_;

  Phase phase_ = Phase::handshake;
  TlsError error_;  // once failed
  SessionProgress progress_;
  bool certificate_seen_ = false;       // so it was no resumption
  bool extended_master_secret_ = true;  // unless TLS 1.2 went without
  std::int64_t resumable_until_s_ = 0;

  PeerFacts facts_;
  std::uint64_t tickets_taken_ = 0;

  std::size_t record_bytes_max_ = 0;
  std::vector<std::byte> leftover_;  // came behind the handshake; for the first open()
};

}  // namespace tlsmux::engine::tls
