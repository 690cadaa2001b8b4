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

constexpr std::size_t kPlaintextBytesMax = 16384;  // RFC 8446 section 5.1
constexpr std::size_t kPaddingGranularityBytes = MBEDTLS_SSL_CID_TLS1_3_PADDING_GRANULARITY;
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

// The wall clock, which mbedTLS reads by itself for the certificates of the same handshake.
std::int64_t now_s() { return mbedtls_time(nullptr); }

}  // namespace

MbedtlsSession::MbedtlsSession(std::shared_ptr<ClientContext> context, const std::string& server_name)
    : context_(std::move(context)),
      key_name_(server_name),
      check_(parse_server_name(server_name), context_->certificate_rules()),
      progress_{.settings = context_->settings(), .certificate_configured = context_->credentials().has_certificate},
      scratch_(kPlaintextBytesMax) {}

std::expected<void, TlsError> MbedtlsSession::prepare() {
  const ServerName& name = check_.name();
  const bool verify = context_->settings().verify_peer;
  if (verify && name.text.empty()) {
    return std::unexpected(fail({.words = "there is no server name to verify the host's certificate with"}));
  }
  if (const int code = mbedtls_ssl_setup(ssl_.get(), context_->config_for(key_name_)); code != 0) {
    return std::unexpected(fail({.words = "no TLS session could be made: " + library_words(code)}));
  }
  // Without a name mbedTLS sends none; a literal address is compared by the check.
  const bool send_name = !name.is_address() && !name.text.empty();
  if (mbedtls_ssl_set_hostname(ssl_.get(), send_name ? name.text.c_str() : nullptr) != 0) {
    return std::unexpected(fail({.words = "the server name is longer than a host name can be (255 bytes)"}));
  }
  mbedtls_ssl_set_verify(ssl_.get(), &CertificateCheck::verify, &check_);
  mbedtls_ssl_set_export_keys_cb(ssl_.get(), &MbedtlsSession::export_keys, this);
  mbedtls_ssl_set_bio(ssl_.get(), &bio_, &Bio::send, &Bio::receive, nullptr);
  offer_ticket();
  return {};
}

void MbedtlsSession::offer_ticket() {
  offered_ticket_ = context_->tickets().take(key_name_, now_s());
  if (!offered_ticket_) return;
  const int code = mbedtls_ssl_set_session(ssl_.get(), offered_ticket_->session->get());
  if (code != 0) offered_ticket_.reset();  // then it is a full handshake
}

std::expected<HandshakeState, TlsError> MbedtlsSession::handshake(std::span<const std::byte> received,
                                                                  std::vector<std::byte>& output) {
  if (phase_ == Phase::failed) return std::unexpected(error_);
  TMX_ASSERT(phase_ == Phase::handshake);
  bio_ = {.input = received, .handshake_output = &output};
  const int code = step_handshake();
  if (code != 0 && code != MBEDTLS_ERR_SSL_WANT_READ) {
    TlsError error = fail_handshake(code);
    bio_ = {};
    return std::unexpected(std::move(error));
  }
  if (code == 0) finish_handshake();
  bio_ = {};
  return code == 0 ? HandshakeState::done : HandshakeState::wants_bytes;
}

// 0: the handshake is over; WANT_READ: all input is consumed; else it failed.
int MbedtlsSession::step_handshake() {
  while (mbedtls_ssl_is_handshake_over(ssl_.get()) == 0) {
    const int state_before = handshake_state(*ssl_.get());
    const int code = mbedtls_ssl_handshake_step(ssl_.get());
    if (code == MBEDTLS_ERR_SSL_WANT_READ) {
      if (bio_.starved) return code;
    } else if (code != 0) {
      return code;
    }
    observe_step(state_before);
    if (!extended_master_secret_) {
      mbedtls_ssl_send_alert_message(ssl_.get(), MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                     MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE);
      return MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE;
    }
  }
  return 0;
}

// mbedTLS reports neither of these itself. The message that a step has parsed is still in its buffer.
void MbedtlsSession::observe_step(int state_before) {
  if (handshake_state(*ssl_.get()) == state_before) return;
  const auto message = handshake_message(*ssl_.get());
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

void MbedtlsSession::finish_handshake() {
  phase_ = Phase::data;
  leftover_.assign(bio_.input.begin(), bio_.input.end());
  state_->version = static_cast<std::uint16_t>(mbedtls_ssl_get_version_number(ssl_.get()));
  state_->suite = static_cast<std::uint16_t>(mbedtls_ssl_get_ciphersuite_id_from_ssl(ssl_.get()));

  const int payload = mbedtls_ssl_get_max_out_record_payload(ssl_.get());
  const int expansion = mbedtls_ssl_get_record_expansion(ssl_.get());
  TMX_ASSERT(payload > 0 && expansion > 0);
  record_bytes_max_ = std::min(static_cast<std::size_t>(payload), kPlaintextBytesMax);
  // TLS 1.3 adds the type and pads.
  record_overhead_bytes_ = static_cast<std::size_t>(expansion) + (is_tls_1_2() ? 0 : kPaddingGranularityBytes);

  // A ticket of a resumed session ends no later than the ticket that resumed it: so the host's certificate is looked at
  // again at least once in a ticket's lifetime, and never resumed beyond its own end.
  const bool resumed = !certificate_seen_ && offered_ticket_.has_value();
  resumable_until_s_ = resumed ? offered_ticket_->end_s : certificate_end_s();
  if (is_tls_1_2()) keep_ticket();  // in TLS 1.3 tickets come later
}

bool MbedtlsSession::is_tls_1_2() const {
  return mbedtls_ssl_get_version_number(ssl_.get()) == MBEDTLS_SSL_VERSION_TLS1_2;
}

std::int64_t MbedtlsSession::certificate_end_s() const {
  const mbedtls_x509_crt* certificate = mbedtls_ssl_get_peer_cert(ssl_.get());
  return certificate != nullptr ? epoch_seconds(certificate->valid_to) : std::numeric_limits<std::int64_t>::max();
}

PeerFacts MbedtlsSession::peer_facts() const {
  const mbedtls_x509_crt* certificate = mbedtls_ssl_get_peer_cert(ssl_.get());
  const char* protocol = mbedtls_ssl_get_alpn_protocol(ssl_.get());
  return {.version = mbedtls_ssl_get_version(ssl_.get()),
          .suite = cipher_suite_name(mbedtls_ssl_get_ciphersuite_id_from_ssl(ssl_.get())),
          .certificate_expires_s = certificate != nullptr ? epoch_seconds(certificate->valid_to) : 0,
          .resumed = !certificate_seen_,
          .alpn = protocol != nullptr ? protocol : ""};
}

std::expected<void, TlsError> MbedtlsSession::seal(std::span<const std::span<const std::byte>> parts,
                                                   WireBuffer& wire) {
  if (phase_ == Phase::failed) return std::unexpected(error_);
  TMX_ASSERT(phase_ != Phase::handshake && !opening_);
  std::size_t size = 0;
  for (const auto part : parts) size += part.size();
  TMX_ASSERT(size > 0 && size <= record_bytes_max_);
  TMX_ASSERT(wire.room() >= size + record_overhead_bytes_);

  auto rest = scratch_.bytes();
  for (const auto part : parts) {
    shm::copy_bytes(rest, part);
    rest = rest.subspan(part.size());
  }
  bio_ = {.input = {}, .wire = &wire};
  const int code = mbedtls_ssl_write(ssl_.get(), reinterpret_cast<const unsigned char*>(scratch_.bytes().data()), size);
  bio_ = {};
  wipe(scratch_.bytes().first(size));
  if (code < 0) return std::unexpected(fail_data(code));
  TMX_ASSERT(static_cast<std::size_t>(code) == size);
  return {};
}

std::expected<OpenState, TlsError> MbedtlsSession::open(std::span<const std::byte> received,
                                                        shm::FunctionRef<void(std::span<const std::byte>)> on_plaintext,
                                                        WireBuffer& wire) {
  if (phase_ == Phase::failed) return std::unexpected(error_);
  TMX_ASSERT(phase_ != Phase::handshake && !opening_);
  if (phase_ == Phase::closed_by_peer) return OpenState::closed_by_peer;  // what comes after it is not looked at

  opening_ = true;
  bio_ = {.input = {}, .wire = &wire};
  std::optional<int> end = open_some(leftover_, on_plaintext);
  leftover_.clear();
  if (!end) end = open_some(received, on_plaintext);
  opening_ = false;

  std::expected<OpenState, TlsError> result = OpenState::open;
  if (end == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
    phase_ = Phase::closed_by_peer;
    result = OpenState::closed_by_peer;
  } else if (end) {
    result = std::unexpected(fail_data(*end));
  }
  bio_ = {};
  return result;
}

// Nothing when all is consumed, else the code that ends the session.
std::optional<int> MbedtlsSession::open_some(std::span<const std::byte> received,
                                             shm::FunctionRef<void(std::span<const std::byte>)> on_plaintext) {
  const auto scratch = scratch_.bytes();
  bio_.input = received;
  bio_.starved = false;
  while (true) {
    const int code = mbedtls_ssl_read(ssl_.get(), reinterpret_cast<unsigned char*>(scratch.data()), scratch.size());
    if (code > 0) {
      const auto plaintext = scratch.first(static_cast<std::size_t>(code));
      on_plaintext(plaintext);
      wipe(plaintext);
    } else if (code == MBEDTLS_ERR_SSL_WANT_READ) {
      if (bio_.starved) return std::nullopt;  // else it only wants to be called again
    } else if (code == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
      keep_ticket();
    } else if (code != 0) {  // 0 is an empty record: the Bio never reports the end of the stream
      return code;
    }
  }
}

void MbedtlsSession::keep_ticket() {
  auto session = std::make_shared<SavedSession>();
  // Without it the next handshake is a full one, which is no error.
  if (mbedtls_ssl_get_session(ssl_.get(), session->get()) != 0) return;
  const ResumptionFacts facts = resumption_facts(*session->get());
  if (!facts.can_resume) return;
  const std::int64_t lifetime_s =
      facts.lifetime_s == 0 ? kTicketLifetimeDefaultS : std::min<std::int64_t>(facts.lifetime_s, kTicketLifetimeMaxS);
  const std::int64_t end_s = std::min(now_s() + lifetime_s, resumable_until_s_);
  context_->tickets().keep(key_name_, {.session = std::move(session), .single_use = !is_tls_1_2(), .end_s = end_s});
}

void MbedtlsSession::close_notify(WireBuffer& wire) {
  const bool can_send = phase_ == Phase::data || phase_ == Phase::closed_by_peer;
  constexpr std::size_t kAlertBytes = 2;
  if (!can_send || wire.room() < kAlertBytes + record_overhead_bytes_) return;
  bio_ = {.input = {}, .wire = &wire};
  mbedtls_ssl_close_notify(ssl_.get());
  bio_ = {};
}

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
  if (code == MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER && is_key_exchange_signed_with_pss(handshake_message(*ssl_.get()))) {
    // An error of mbedTLS 3.6.6, which offered it. With TLS 1.2 alone it does not offer it.
    context_->retry_with_tls_1_2(key_name_);
    return fail(
        {shm::Reason::handshake_failed,
         "the host signs with RSA-PSS in TLS 1.2, which this mbedTLS refuses: the next try offers TLS 1.2 only, "
         "without RSA-PSS"});
  }
  if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
    return fail(handshake_alert_error(static_cast<Alert>(alert_description(*ssl_.get())), progress_));
  }
  if (const auto suite = unoffered_suite()) return fail(unoffered_suite_error(*suite, progress_));
  if (is_certificate_code(code)) return fail(check_.error(mbedtls_ssl_get_verify_result(ssl_.get())));
  return fail(handshake_code_error(code, progress_));
}

// What the ServerHello chose, if that made the handshake fail.
std::optional<int> MbedtlsSession::unoffered_suite() const {
  if (progress_.server_hello_seen) return std::nullopt;
  const auto suite = server_hello_suite(handshake_message(*ssl_.get()));
  if (!suite || context_->offers(*suite)) return std::nullopt;
  return *suite;
}

TlsError MbedtlsSession::fail_data(int code) {
  if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
    return fail(data_alert_error(static_cast<Alert>(alert_description(*ssl_.get())), progress_));
  }
  if (code == kNoRoomCode) {
    return fail({shm::Reason::write_stalled, "the host wants a TLS answer from here but takes no bytes"});
  }
  if (code == MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE) {
    mbedtls_ssl_send_alert_message(ssl_.get(), MBEDTLS_SSL_ALERT_LEVEL_FATAL, MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE);
    return fail({shm::Reason::record_corrupt,
                 "the host sent a TLS message that has no place after the handshake here, such as a key update"});
  }
  return fail(data_code_error(code));
}

void MbedtlsSession::export_keys(void* session, mbedtls_ssl_key_export_type type, const unsigned char* secret,
                                 std::size_t secret_size, const unsigned char* client_random,
                                 const unsigned char* server_random, mbedtls_tls_prf_types /*prf*/) {
  auto& self = *static_cast<MbedtlsSession*>(session);
  SessionState& state = *self.state_;
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
  TMX_ASSERT(phase_ == Phase::data || phase_ == Phase::closed_by_peer);
  *state = *state_;
  state->send_sequence = send_sequence(*ssl_.get());
  state->receive_sequence = receive_sequence(*ssl_.get());
}

}  // namespace tlsmux::engine::tls
