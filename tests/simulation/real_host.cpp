#include "tests/simulation/real_host.hpp"

#include <openssl/ssl.h>

#include <array>
#include <string_view>

#include "shm/assert.hpp"
#include "tests/tls/certificates.hpp"
#include "tests/tls/openssl_host.hpp"

namespace tlsmux::simulation {
namespace {

// All of one key, since RSA's take long to make.
struct Identities {
  test::Authority authority{"simulated authority", "", test::KeyKind::rsa};
  test::Identity good =
      authority.issue({.alternative_names = "DNS:host.example,IP:127.0.0.1", .key = test::KeyKind::rsa});
  test::Identity misnamed = authority.issue({.alternative_names = "DNS:other.example", .key_pair = good.key.get()});
  test::Identity expired = authority.issue({.alternative_names = "DNS:host.example,IP:127.0.0.1",
                                            .starts_s = -7200,
                                            .ends_s = -3600,
                                            .key_pair = good.key.get()});
};

const Identities& identities() {
  static const Identities made;
  return made;
}

std::unique_ptr<test::OpenSslHost> make_openssl_host(Random& random) {
  constexpr std::array<std::string_view, 3> kSuites12{"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384",
                                                      "ECDHE-RSA-CHACHA20-POLY1305"};
  constexpr std::array<std::string_view, 3> kSuites13{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                                      "TLS_CHACHA20_POLY1305_SHA256"};
  const bool is_old = random.below(3) == 0;
  const int version = is_old ? TLS1_2_VERSION : TLS1_3_VERSION;
  const auto suite = random.below(kSuites13.size());
  const auto tickets = random.below(4);
  // In TLS 1.3 this makes tickets that are mere numbers, in 1.2 it means none.
  const bool has_no_tickets_with_state = !is_old || tickets == 0;
  auto host = std::make_unique<test::OpenSslHost>(
      identities().good, test::HostSettings{.version_min = version,
                                            .version_max = version,
                                            .suites_1_2 = std::string(kSuites12[suite]),
                                            .suites_1_3 = std::string(kSuites13[suite]),
                                            .options = has_no_tickets_with_state ? SSL_OP_NO_TICKET : 0});
  TMX_ASSERT(SSL_CTX_set_num_tickets(host->context(), tickets) == 1);
  return host;
}

class RealHostTls final : public HostTls {
 public:
  RealHostTls(Context& context, test::OpenSslHost& host, Manner manner)
      : context_(context), connection_(host), is_hanging_(manner == Manner::hangs) {
    SSL_set_msg_callback(connection_.ssl(), &RealHostTls::observe);
    SSL_set_msg_callback_arg(connection_.ssl(), this);
    if (manner == Manner::refuses) refuse();
    if (context.strikes(Fault::bad_certificate)) show_bad_certificate();
    if (context.random.below(4) == 0) forget_tickets();
  }

  State receive(std::span<const std::byte> received, std::vector<std::byte>& plaintext,
                std::vector<std::byte>& output) override;
  [[nodiscard]] State state() const override { return state_; }
  void seal(std::span<const std::byte> plaintext, std::vector<std::byte>& output) override;
  void close_notify(std::vector<std::byte>& output) override;
  void take_leave(std::vector<std::byte>& output) override;
  void babble(std::span<const std::byte> garbage, std::vector<std::byte>& output) override;
  bool act(std::vector<std::byte>& output) override;
  void note_spoilt() override { may_fail_ = true; }

 private:
  // A session of the engine's takes 64 records without data on end (RecordLayer).
  static constexpr int kOwnMessagesMax = 32;

  static void observe(int is_written, int version, int type, const void* content, std::size_t bytes, SSL* ssl,
                      void* self);
  void refuse();
  void show_bad_certificate();
  void forget_tickets();
  [[nodiscard]] bool has_said_close() const { return (SSL_get_shutdown(connection_.ssl()) & SSL_SENT_SHUTDOWN) != 0; }
  void send(RecordKind kind, std::span<const std::byte> plaintext, std::vector<std::byte>& output);

  Context& context_;
  test::OpenSslConnection connection_;
  State state_ = State::handshake;
  bool is_hanging_;
  bool may_fail_ = false;
  bool is_alerted_ = false;
  int own_messages_ = 0;  // since the last data
};

// At the beginning, or when it sees that we have no certificate: in TLS 1.3 after the engine takes the session for ready.
void RealHostTls::refuse() {
  may_fail_ = true;
  SSL* ssl = connection_.ssl();
  if (context_.random.below(2) == 0) {
    SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    return forget_tickets();
  }
  TMX_ASSERT(SSL_set_min_proto_version(ssl, 0) == 1 && SSL_set_max_proto_version(ssl, TLS1_1_VERSION) == 1);
}

void RealHostTls::show_bad_certificate() {
  may_fail_ = true;
  const auto& shown = context_.random.below(2) == 0 ? identities().misnamed : identities().expired;
  TMX_ASSERT(SSL_use_certificate(connection_.ssl(), shown.certificate.get()) == 1);
  TMX_ASSERT(SSL_use_PrivateKey(connection_.ssl(), shown.key.get()) == 1);
  forget_tickets();
}

// OpenSSL resumes no session of another context.
void RealHostTls::forget_tickets() {
  const std::array<unsigned char, 5> other = {'o', 't', 'h', 'e', 'r'};
  TMX_ASSERT(SSL_set_session_id_context(connection_.ssl(), other.data(), other.size()) == 1);
}

void RealHostTls::observe(int is_written, int /*version*/, int type, const void* content, std::size_t bytes,
                          SSL* /*ssl*/, void* self) {
  auto& host = *static_cast<RealHostTls*>(self);
  const auto message = std::span(static_cast<const unsigned char*>(content), bytes);
  if (is_written != 0 || message.empty()) return;
  if (type == SSL3_RT_HANDSHAKE && message[0] == SSL3_MT_KEY_UPDATE) host.context_.note(Seen::tls_key_update_followed);
  if (type == SSL3_RT_ALERT && message[0] == SSL3_AL_FATAL) host.is_alerted_ = true;
}

HostTls::State RealHostTls::receive(std::span<const std::byte> received, std::vector<std::byte>& plaintext,
                                    std::vector<std::byte>& output) {
  if (is_hanging_ || state_ == State::failed || state_ == State::closed_by_client) return state_;
  connection_.feed(received);
  const auto text = connection_.take_received();
  const auto bytes = std::as_bytes(std::span(text));
  plaintext.insert(plaintext.end(), bytes.begin(), bytes.end());
  send(RecordKind::tls, {}, output);
  if (connection_.failed()) {
    if (!may_fail_) throw Violation("a host's TLS session fails for nothing: " + connection_.last_error());
    context_.trace("a host's TLS session fails: " + connection_.last_error());
    state_ = State::failed;
    if (!is_alerted_) context_.note(Seen::tls_refused_by_host);
  } else if (connection_.closed_by_client()) {
    state_ = State::closed_by_client;
  } else if (SSL_is_init_finished(connection_.ssl()) == 1) {
    state_ = State::open;
  }
  return state_;
}

void RealHostTls::send(RecordKind kind, std::span<const std::byte> plaintext, std::vector<std::byte>& output) {
  const auto sealed = connection_.take_output();
  context_.seals.note(sealed, kind, plaintext);
  output.insert(output.end(), sealed.begin(), sealed.end());
}

void RealHostTls::seal(std::span<const std::byte> plaintext, std::vector<std::byte>& output) {
  if (has_said_close()) return;  // OpenSSL says nothing behind it
  own_messages_ = 0;
  connection_.write({reinterpret_cast<const char*>(plaintext.data()), plaintext.size()});
  send(RecordKind::data, plaintext, output);
}

void RealHostTls::close_notify(std::vector<std::byte>& output) {
  SSL_shutdown(connection_.ssl());
  send(RecordKind::close_notify, {}, output);
}

void RealHostTls::take_leave(std::vector<std::byte>& output) {
  const bool can_say_so = state_ == State::open || state_ == State::closed_by_client;
  if (can_say_so && !has_said_close() && context_.random.below(2) == 0) close_notify(output);
}

void RealHostTls::babble(std::span<const std::byte> garbage, std::vector<std::byte>& output) {
  may_fail_ = true;
  output.push_back(kNoRecordType);
  output.insert(output.end(), garbage.begin(), garbage.end());
}

bool RealHostTls::act(std::vector<std::byte>& output) {
  SSL* ssl = connection_.ssl();
  if (state_ != State::open || SSL_version(ssl) != TLS1_3_VERSION || own_messages_ == kOwnMessagesMax) return false;
  if (context_.strikes(Fault::key_update)) {
    const bool asks = context_.random.below(4) != 0;
    TMX_ASSERT(SSL_key_update(ssl, asks ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
  } else if (context_.strikes(Fault::new_ticket)) {
    TMX_ASSERT(SSL_new_session_ticket(ssl) == 1);
  } else {
    return false;
  }
  TMX_ASSERT(SSL_do_handshake(ssl) == 1);
  ++own_messages_;
  send(RecordKind::tls, {}, output);
  return true;
}

}  // namespace

std::string real_authority_pem() { return identities().authority.pem(); }

RealHosts::RealHosts(Context& context) : context_(context) {
  for (std::size_t i = 0; i < context.config.upstreams.size(); ++i) hosts_.push_back(make_openssl_host(context.random));
}

RealHosts::~RealHosts() = default;

std::unique_ptr<HostTls> RealHosts::accept(std::uint32_t upstream, Manner manner) {
  return std::make_unique<RealHostTls>(context_, *hosts_[upstream], manner);
}

}  // namespace tlsmux::simulation
