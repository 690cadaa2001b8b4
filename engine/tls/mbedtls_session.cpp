#include "engine/tls/mbedtls_session.hpp"

#include <mbedtls/platform_time.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "engine/tls/certificate_words.hpp"
#include "engine/tls/cipher_suites.hpp"
#include "engine/tls/handshake_message.hpp"
#include "engine/tls/key_log.hpp"
#include "engine/tls/private_fields.hpp"
#include "shm/assert.hpp"
#include "shm/shared_copy.hpp"

namespace tlsmux::engine::tls {
namespace {

constexpr std::int64_t kTicketLifetimeMaxS = 604'800;    // RFC 8446 section 4.6.1
constexpr std::int64_t kTicketLifetimeDefaultS = 3'600;  // for a host that does not say

constexpr std::size_t kRandomBytes = 32;  // RFC 8446 section 4.1.2

// In a key log; empty for what does not go there.
std::string_view label_of(mbedtls_ssl_key_export_type type) {
  switch (type) {
    case MBEDTLS_SSL_KEY_EXPORT_TLS12_MASTER_SECRET: return "CLIENT_RANDOM";
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_HANDSHAKE_TRAFFIC_SECRET: return "CLIENT_HANDSHAKE_TRAFFIC_SECRET";
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SERVER_HANDSHAKE_TRAFFIC_SECRET: return "SERVER_HANDSHAKE_TRAFFIC_SECRET";
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_APPLICATION_TRAFFIC_SECRET: return "CLIENT_TRAFFIC_SECRET_0";
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SERVER_APPLICATION_TRAFFIC_SECRET: return "SERVER_TRAFFIC_SECRET_0";
    default: return {};
  }
}

std::shared_ptr<const PeerCertificates> copy_of(const mbedtls_x509_crt* certificate) {
  if (certificate == nullptr) return nullptr;
  auto chain = std::make_shared<PeerCertificates>();
  for (; certificate != nullptr; certificate = certificate->next) {
    const auto der = std::as_bytes(std::span(certificate->raw.p, certificate->raw.len));
    if (!der.empty()) chain->emplace_back(der.begin(), der.end());
  }
  return chain;
}

// The wall clock, which mbedTLS reads by itself for the certificates of the same handshake.
std::int64_t now_s() { return mbedtls_time(nullptr); }

}  // namespace

MbedtlsSession::MbedtlsSession(std::shared_ptr<ClientContext> context, const std::string& server_name)
    : context_(std::move(context)),
      key_name_(server_name),
      check_(parse_server_name(server_name), context_->certificate_rules()),
      ssl_(std::make_unique<SslContext>()),
      progress_{.settings = context_->settings(),
                .own_certificate =
                    context_->credentials().has_certificate ? context_->credentials().certificate.get() : nullptr} {}

std::expected<void, TlsError> MbedtlsSession::prepare() {
  const ServerName& name = check_.name();
  const bool verify = context_->settings().verify_peer;
  if (verify && name.text.empty()) {
    return std::unexpected(fail({.words = "there is no server name to verify the host's certificate with"}));
  }
  if (const int code = mbedtls_ssl_setup(ssl_->get(), context_->config_for(key_name_)); code != 0) {
    return std::unexpected(fail({.words = "no TLS session could be made: " + library_words(code)}));
  }
  // Without a name mbedTLS sends none; a literal address is compared by the check.
  const bool send_name = !name.is_address() && !name.text.empty();
  if (mbedtls_ssl_set_hostname(ssl_->get(), send_name ? name.text.c_str() : nullptr) != 0) {
    return std::unexpected(fail({.words = "the server name is longer than a host name can be (255 bytes)"}));
  }
  mbedtls_ssl_set_verify(ssl_->get(), &CertificateCheck::verify, &check_);
  mbedtls_ssl_set_export_keys_cb(ssl_->get(), &MbedtlsSession::export_keys, this);
  mbedtls_ssl_set_bio(ssl_->get(), &bio_, &Bio::send, &Bio::receive, nullptr);
  offer_ticket();
  return {};
}

void MbedtlsSession::offer_ticket() {
  offered_ticket_ = context_->tickets().take(key_name_, now_s());
  if (!offered_ticket_) return;
  const int code = mbedtls_ssl_set_session(ssl_->get(), offered_ticket_->session->get());
  if (code != 0) offered_ticket_.reset();  // then it is a full handshake
}

std::expected<HandshakeState, TlsError> MbedtlsSession::handshake(std::span<const std::byte> received,
                                                                  std::vector<std::byte>& output) {
  if (phase_ == Phase::failed) return std::unexpected(error_);
  TMX_ASSERT(phase_ == Phase::handshake);
  if (state_ == nullptr) state_ = std::make_unique<Locked<SessionState>>();
  if (!*state_) return std::unexpected(fail({.words = "no memory for the secrets of a TLS session"}));
  bio_ = {.input = received, .handshake_output = &output};
  std::expected<HandshakeState, TlsError> result = HandshakeState::wants_bytes;
  if (const int code = step_handshake(); code == 0) {
    const auto finished = finish_handshake();
    result =
        finished ? std::expected<HandshakeState, TlsError>(HandshakeState::done) : std::unexpected(finished.error());
  } else if (code != MBEDTLS_ERR_SSL_WANT_READ) {
    result = std::unexpected(fail_handshake(code));
  }
  bio_ = {};
  return result;
}

// 0: the handshake is over; WANT_READ: all input is consumed; else it failed.
int MbedtlsSession::step_handshake() {
  while (mbedtls_ssl_is_handshake_over(ssl_->get()) == 0) {
    const int state_before = handshake_state(*ssl_->get());
    const int code = mbedtls_ssl_handshake_step(ssl_->get());
    if (code == MBEDTLS_ERR_SSL_WANT_READ) {
      if (bio_.starved) return code;
    } else if (code != 0) {
      return code;
    }
    observe_step(state_before);
    if (!extended_master_secret_) {
      mbedtls_ssl_send_alert_message(ssl_->get(), MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                     MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE);
      return MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE;
    }
  }
  return 0;
}

// mbedTLS reports neither of these itself. The message that a step has parsed is still in its buffer.
void MbedtlsSession::observe_step(int state_before) {
  if (handshake_state(*ssl_->get()) == state_before) return;
  const auto message = handshake_message(*ssl_->get());
  switch (state_before) {
    case MBEDTLS_SSL_SERVER_HELLO:
      progress_.server_hello_seen = true;
      if (is_tls_1_2()) extended_master_secret_ = server_hello_has_extension(message, kExtendedMasterSecret);
      break;
    case MBEDTLS_SSL_SERVER_CERTIFICATE: certificate_seen_ = true; break;
    case MBEDTLS_SSL_CERTIFICATE_REQUEST:
      if (!message.empty() && message[0] == MBEDTLS_SSL_HS_CERTIFICATE_REQUEST) progress_.certificate_requested = true;
      break;
    default: break;
  }
}

std::expected<void, TlsError> MbedtlsSession::finish_handshake() {
  if (auto taken = take_over_records(); !taken) return taken;
  phase_ = Phase::data;
  leftover_.assign(bio_.input.begin(), bio_.input.end());
  note_facts();

  // A ticket of a resumed session ends no later than the ticket that resumed it: so the host's certificate is looked at
  // again at least once in a ticket's lifetime, and never resumed beyond its own end.
  const bool resumed = !certificate_seen_ && offered_ticket_.has_value();
  resumable_until_s_ = resumed ? offered_ticket_->end_s : certificate_end_s();
  if (is_tls_1_2()) {
    keep_ticket();  // in TLS 1.3 tickets come later
    ssl_.reset();
  }
  return {};
}

std::expected<void, TlsError> MbedtlsSession::take_over_records() {
  mbedtls_ssl_context* ssl = ssl_->get();
  if (!is_between_records(*ssl)) {
    // What came along with the Finished would have crossed the change of keys (RFC 8446 section 5.1).
    mbedtls_ssl_send_alert_message(ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL, MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE);
    return std::unexpected(fail({.words = "the host sent messages right behind the end of its handshake"}));
  }
  SessionState& state = **state_;
  state.version = static_cast<std::uint16_t>(mbedtls_ssl_get_version_number(ssl));
  state.suite = static_cast<std::uint16_t>(mbedtls_ssl_get_ciphersuite_id_from_ssl(ssl));
  state.send_sequence = send_sequence(*ssl);
  state.receive_sequence = receive_sequence(*ssl);
  records_ = RecordLayer::make(state, context_->aead_library());
  if (records_ == nullptr) return std::unexpected(fail({.words = "no memory for the keys of a TLS session"}));
  const int payload = mbedtls_ssl_get_max_out_record_payload(ssl);
  TMX_ASSERT(payload > 0);
  record_bytes_max_ = std::min(static_cast<std::size_t>(payload), kPlaintextBytesMax);
  return {};
}

bool MbedtlsSession::is_tls_1_2() const {
  return mbedtls_ssl_get_version_number(ssl_->get()) == MBEDTLS_SSL_VERSION_TLS1_2;
}

std::int64_t MbedtlsSession::certificate_end_s() const {
  const mbedtls_x509_crt* certificate = mbedtls_ssl_get_peer_cert(ssl_->get());
  return certificate != nullptr ? epoch_seconds(certificate->valid_to) : std::numeric_limits<std::int64_t>::max();
}

void MbedtlsSession::note_facts() {
  const mbedtls_x509_crt* certificate = mbedtls_ssl_get_peer_cert(ssl_->get());
  const char* protocol = mbedtls_ssl_get_alpn_protocol(ssl_->get());
  facts_ = {
      .version = mbedtls_ssl_get_version(ssl_->get()),
      .suite = cipher_suite_name(mbedtls_ssl_get_ciphersuite_id_from_ssl(ssl_->get())),
      .certificate_expires_s = certificate != nullptr ? epoch_seconds(certificate->valid_to) : 0,
      .resumed = !certificate_seen_,
      .alpn = protocol != nullptr ? protocol : "",
      .version_number = (**state_).version,
      .suite_number = (**state_).suite,
      .server_name = context_->settings().verify_peer ? check_.name().text : "",
      .certificates = certificate_seen_ || !offered_ticket_ ? copy_of(certificate) : offered_ticket_->certificates};
}

std::expected<void, TlsError> MbedtlsSession::seal(std::span<const std::span<const std::byte>> parts,
                                                   WireBuffer& wire) {
  if (phase_ == Phase::failed) return std::unexpected(error_);
  TMX_ASSERT(phase_ == Phase::data);
  std::size_t size = 0;
  for (const auto part : parts) size += part.size();
  TMX_ASSERT(size > 0 && size <= record_bytes_max_);
  TMX_ASSERT(wire.room() >= size + record_overhead_bytes());
  if (const auto sealed = records_->seal(parts, wire); !sealed) return std::unexpected(fail_data(sealed.error()));
  return {};
}

std::expected<OpenState, TlsError> MbedtlsSession::open(std::span<std::byte> received,
                                                        shm::FunctionRef<void(std::span<const std::byte>)> on_plaintext,
                                                        WireBuffer& wire) {
  if (phase_ == Phase::failed) return std::unexpected(error_);
  TMX_ASSERT(phase_ == Phase::data);
  const auto on_ticket = [&](std::span<const std::byte> message) { return take_ticket(message); };
  if (!leftover_.empty()) {
    auto leftover = std::exchange(leftover_, {});
    const auto opened = records_->open(leftover, on_plaintext, on_ticket, wire);
    if (!opened) return std::unexpected(fail_data(opened.error()));
  }
  const auto opened = records_->open(received, on_plaintext, on_ticket, wire);
  if (!opened) return std::unexpected(fail_data(opened.error()));
  // It holds the keys of the handshake's end, with which it could read no further ticket: away with them.
  if (ssl_ && records_->is_peer_key_updated()) ssl_.reset();
  return *opened;
}

// Only mbedTLS knows the resumption secret. It is given the message as a record of its own under the host's key, with a
// number that the host itself will never reach, so that no nonce is used twice.
std::expected<void, Alert> MbedtlsSession::take_ticket(std::span<const std::byte> message) {
  constexpr std::uint64_t kFirstOwnSequence = std::uint64_t{1} << 63;
  if (!ssl_ || records_->is_peer_key_updated() || message.size() > kPlaintextBytesMax) return {};
  const std::uint64_t sequence = kFirstOwnSequence + tickets_taken_++;
  std::vector<std::byte> record(kRecordBytesMax);
  record.resize(records_->imitate_record(sequence, message, record));
  set_receive_sequence(*ssl_->get(), sequence);
  bio_ = {.input = record};
  int code = 0;
  do {
    unsigned char none = 0;
    code = mbedtls_ssl_read(ssl_->get(), &none, sizeof none);
    if (code == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) keep_ticket();
  } while (code == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET || (code == MBEDTLS_ERR_SSL_WANT_READ && !bio_.starved));
  bio_ = {};
  if (code == MBEDTLS_ERR_SSL_WANT_READ) return {};
  ssl_.reset();
  return std::unexpected(Alert::decode_error);
}

void MbedtlsSession::keep_ticket() {
  auto session = std::make_shared<SavedSession>();
  // Without it the next handshake is a full one, which is no error.
  if (mbedtls_ssl_get_session(ssl_->get(), session->get()) != 0) return;
  const ResumptionFacts facts = resumption_facts(*session->get());
  if (!facts.can_resume) return;
  const std::int64_t lifetime_s =
      facts.lifetime_s == 0 ? kTicketLifetimeDefaultS : std::min<std::int64_t>(facts.lifetime_s, kTicketLifetimeMaxS);
  const std::int64_t end_s = std::min(now_s() + lifetime_s, resumable_until_s_);
  context_->tickets().keep(key_name_, {.session = std::move(session),
                                       .single_use = !is_tls_1_2(),
                                       .end_s = end_s,
                                       .certificates = facts_.certificates});
}

void MbedtlsSession::close_notify(WireBuffer& wire) {
  if (phase_ == Phase::data) records_->close_notify(wire);
}

bool MbedtlsSession::is_worn_out() const { return phase_ == Phase::data && records_->is_worn_out(); }

TlsError MbedtlsSession::fail(TlsError error) {
  phase_ = Phase::failed;
  error_ = std::move(error);
  return error_;
}

TlsError MbedtlsSession::fail_handshake(int code) {
  // Perhaps the host no longer likes what the ticket binds us to, such as its version.
  if (offered_ticket_) context_->tickets().forget(key_name_);
  if (!extended_master_secret_) {
    return fail({shm::Reason::handshake_failed,
                 "the host speaks TLS 1.2 without the extended master secret (RFC 7627), which is required here"});
  }
  if (code == MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER && is_key_exchange_signed_with_pss(handshake_message(*ssl_->get()))) {
    // An error of mbedTLS 3.6.6, which offered it. With TLS 1.2 alone it does not offer it.
    context_->retry_with_tls_1_2(key_name_);
    return fail(
        {shm::Reason::handshake_failed,
         "the host signs with RSA-PSS in TLS 1.2, which this mbedTLS refuses: the next try offers TLS 1.2 only, "
         "without RSA-PSS"});
  }
  if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
    return fail(handshake_alert_error(static_cast<Alert>(alert_description(*ssl_->get())), progress_));
  }
  if (const auto suite = unoffered_suite()) return fail(unoffered_suite_error(*suite, progress_));
  if (is_certificate_code(code)) return fail(check_.error(mbedtls_ssl_get_verify_result(ssl_->get())));
  return fail(handshake_code_error(code, progress_));
}

// What the ServerHello chose, if that made the handshake fail.
std::optional<int> MbedtlsSession::unoffered_suite() const {
  if (progress_.server_hello_seen) return std::nullopt;
  const auto suite = server_hello_suite(handshake_message(*ssl_->get()));
  if (!suite || context_->offers(*suite)) return std::nullopt;
  return *suite;
}

TlsError MbedtlsSession::fail_data(const RecordFault& fault) {
  ssl_.reset();
  if (fault.kind == RecordFaultKind::alerted) return fail(data_alert_error(fault.alert, progress_));
  const auto reason = fault.kind == RecordFaultKind::no_room ? shm::Reason::write_stalled : shm::Reason::record_corrupt;
  return fail({reason, std::string(fault.words)});
}

void MbedtlsSession::export_keys(void* session, mbedtls_ssl_key_export_type type, const unsigned char* secret,
                                 std::size_t secret_size, const unsigned char* client_random,
                                 const unsigned char* server_random, mbedtls_tls_prf_types /*prf*/) {
  auto& self = *static_cast<MbedtlsSession*>(session);
  SessionState& state = **self.state_;
  if (KeyLog* log = self.context_->key_log(); log != nullptr && !label_of(type).empty()) {
    log_secret(*log, label_of(type), std::span(client_random, kRandomBytes), std::span(secret, secret_size));
  }
  const auto copy = [&](std::array<std::uint8_t, kSecretBytesMax>& target) {
    TMX_ASSERT(secret_size <= target.size());
    std::copy_n(secret, secret_size, target.begin());
    state.secret_bytes = static_cast<std::uint8_t>(secret_size);
  };
  switch (type) {
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_APPLICATION_TRAFFIC_SECRET: copy(state.client_secret); break;
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SERVER_APPLICATION_TRAFFIC_SECRET: copy(state.server_secret); break;
    case MBEDTLS_SSL_KEY_EXPORT_TLS12_MASTER_SECRET:
      copy(state.master_secret);
      std::copy_n(client_random, state.client_random.size(), state.client_random.begin());
      std::copy_n(server_random, state.server_random.size(), state.server_random.begin());
      break;
    default: break;  // secrets of the handshake
  }
}

void MbedtlsSession::copy_state(Wiped<SessionState>& state) const {
  TMX_ASSERT(phase_ == Phase::data);
  *state = **state_;
}

}  // namespace tlsmux::engine::tls
