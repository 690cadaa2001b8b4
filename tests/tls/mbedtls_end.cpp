#include "tests/tls/mbedtls_end.hpp"

#include <algorithm>
#include <array>

#include "engine/tls/private_fields.hpp"
#include "shm/assert.hpp"
#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {

using engine::tls::Role;
using engine::tls::SessionState;

namespace {

void succeed(int code) { TMX_ASSERT(code == 0); }

const unsigned char* octets(const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); }

}  // namespace

MbedtlsEnd::MbedtlsEnd(Role role, const VersionAndSuite& suite) : suites_{suite.suite, 0} {
  state_.role = role;
  const bool is_client = role == Role::client;
  succeed(mbedtls_ssl_config_defaults(config_.get(), is_client ? MBEDTLS_SSL_IS_CLIENT : MBEDTLS_SSL_IS_SERVER,
                                      MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT));
  mbedtls_ssl_conf_rng(config_.get(), mbedtls_ctr_drbg_random, &tls_library().random());
  const auto version = suite.version == engine::tls::kTls13 ? MBEDTLS_SSL_VERSION_TLS1_3 : MBEDTLS_SSL_VERSION_TLS1_2;
  mbedtls_ssl_conf_min_tls_version(config_.get(), version);
  mbedtls_ssl_conf_max_tls_version(config_.get(), version);
  mbedtls_ssl_conf_ciphersuites(config_.get(), suites_.data());
  if (is_client) {
    const std::string pem = authority().pem();
    succeed(mbedtls_x509_crt_parse(authorities_.get(), octets(pem), pem.size() + 1));
    mbedtls_ssl_conf_ca_chain(config_.get(), authorities_.get(), nullptr);
  } else {
    configure_server();
  }
  succeed(mbedtls_ssl_setup(ssl_.get(), config_.get()));
  if (is_client) succeed(mbedtls_ssl_set_hostname(ssl_.get(), std::string(kHostName).c_str()));
  mbedtls_ssl_set_export_keys_cb(ssl_.get(), &MbedtlsEnd::export_keys, this);
  mbedtls_ssl_set_bio(ssl_.get(), &bio_, &engine::tls::Bio::send, &engine::tls::Bio::receive, nullptr);
}

void MbedtlsEnd::configure_server() {
  const std::string certificate = host_identity().certificate_pem();
  const std::string key = host_identity().key_pem();
  succeed(mbedtls_x509_crt_parse(certificate_.get(), octets(certificate), certificate.size() + 1));
  succeed(mbedtls_pk_parse_key(key_.get(), octets(key), key.size() + 1, nullptr, 0, mbedtls_ctr_drbg_random,
                               &tls_library().random()));
  succeed(mbedtls_ssl_conf_own_cert(config_.get(), certificate_.get(), key_.get()));
  succeed(mbedtls_ssl_ticket_setup(ticket_keys_.get(), mbedtls_ctr_drbg_random, &tls_library().random(),
                                   MBEDTLS_CIPHER_AES_256_GCM, 86'400));
  mbedtls_ssl_conf_session_tickets_cb(config_.get(), mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse,
                                      ticket_keys_.get());
  mbedtls_ssl_conf_new_session_tickets(config_.get(), 2);
}

bool MbedtlsEnd::handshake(std::span<const std::byte> received, Bytes& output) {
  bio_ = {.input = received, .handshake_output = &output};
  const int code = mbedtls_ssl_handshake(ssl_.get());
  unread_.assign(bio_.input.begin(), bio_.input.end());
  bio_ = {};
  TMX_ASSERT(code == 0 || code == MBEDTLS_ERR_SSL_WANT_READ);
  return code == 0;
}

SessionState MbedtlsEnd::state() const {
  TMX_ASSERT(engine::tls::is_between_records(*ssl_.get()));
  SessionState state = state_;
  state.version = static_cast<std::uint16_t>(mbedtls_ssl_get_version_number(ssl_.get()));
  state.suite = static_cast<std::uint16_t>(mbedtls_ssl_get_ciphersuite_id_from_ssl(ssl_.get()));
  state.send_sequence = engine::tls::send_sequence(*ssl_.get());
  state.receive_sequence = engine::tls::receive_sequence(*ssl_.get());
  return state;
}

Bytes MbedtlsEnd::write(std::string_view text) {
  Bytes output;
  bio_ = {.input = {}, .handshake_output = &output};
  while (!text.empty()) {
    const int code = mbedtls_ssl_write(ssl_.get(), reinterpret_cast<const unsigned char*>(text.data()), text.size());
    TMX_ASSERT(code > 0);
    text.remove_prefix(static_cast<std::size_t>(code));
  }
  bio_ = {};
  return output;
}

Bytes MbedtlsEnd::write_empty() {
  Bytes output;
  bio_ = {.input = {}, .handshake_output = &output};
  succeed(mbedtls_ssl_write(ssl_.get(), nullptr, 0));
  bio_ = {};
  return output;
}

MbedtlsEnd::Read MbedtlsEnd::read(std::span<const std::byte> received) {
  Read result;
  Bytes alerts;
  bio_ = {.input = received, .handshake_output = &alerts};
  std::array<unsigned char, engine::tls::kPlaintextBytesMax> buffer{};
  while (true) {
    const int code = mbedtls_ssl_read(ssl_.get(), buffer.data(), buffer.size());
    if (code > 0) {
      result.text.append(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(code));
    } else if (code == MBEDTLS_ERR_SSL_WANT_READ) {
      if (bio_.starved) break;
    } else if (code != 0 && code != MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
      result.code = code;
      break;
    }
  }
  bio_ = {};
  return result;
}

Bytes MbedtlsEnd::close_notify() {
  Bytes output;
  bio_ = {.input = {}, .handshake_output = &output};
  succeed(mbedtls_ssl_close_notify(ssl_.get()));
  bio_ = {};
  return output;
}

void MbedtlsEnd::rewind(std::uint64_t receive_sequence) {
  mbedtls_ssl_context* ssl = ssl_.get();
  ssl->MBEDTLS_PRIVATE(in_left) = ssl->MBEDTLS_PRIVATE(in_msglen) = ssl->MBEDTLS_PRIVATE(in_hslen) = 0;
  ssl->MBEDTLS_PRIVATE(in_msgtype) = ssl->MBEDTLS_PRIVATE(nb_zero) = ssl->MBEDTLS_PRIVATE(keep_current_message) = 0;
  ssl->MBEDTLS_PRIVATE(in_offt) = nullptr;
  engine::tls::set_receive_sequence(*ssl, receive_sequence);
}

void MbedtlsEnd::export_keys(void* end, mbedtls_ssl_key_export_type type, const unsigned char* secret, std::size_t size,
                             const unsigned char* client_random, const unsigned char* server_random,
                             mbedtls_tls_prf_types /*prf*/) {
  SessionState& state = static_cast<MbedtlsEnd*>(end)->state_;
  const auto copy = [&](auto& target) {
    std::copy_n(secret, size, target.begin());
    state.secret_bytes = static_cast<std::uint8_t>(size);
  };
  switch (type) {
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_APPLICATION_TRAFFIC_SECRET: return copy(state.client_secret);
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SERVER_APPLICATION_TRAFFIC_SECRET: return copy(state.server_secret);
    case MBEDTLS_SSL_KEY_EXPORT_TLS12_MASTER_SECRET:
      copy(state.master_secret);
      std::copy_n(client_random, state.client_random.size(), state.client_random.begin());
      std::copy_n(server_random, state.server_random.size(), state.server_random.begin());
      return;
    default: return;
  }
}

}  // namespace tlsmux::test
