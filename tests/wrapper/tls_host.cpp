#include "tests/wrapper/tls_host.hpp"

#include <sys/socket.h>

#include "tests/wrapper/peer_script.hpp"

namespace tlsmux::test {
namespace {

class TlsEnd final : public PeerEnd {
 public:
  TlsEnd(SSL* ssl, shm::UniqueFd& socket) : ssl_(ssl), socket_(socket) {}

  void send(std::string_view data) override {
    if (!data.empty()) SSL_write(ssl_, data.data(), static_cast<int>(data.size()));
  }
  std::size_t receive(char* into, std::size_t bytes) override {
    const int got = SSL_read(ssl_, into, static_cast<int>(bytes));
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  void send_close_notify() override { SSL_shutdown(ssl_); }
  void reset() override {
    reset_on_close(socket_.get());
    socket_.reset();
  }
  void drop() override { socket_.reset(); }
  void vanish() override { socket_.reset(); }

 private:
  SSL* ssl_;
  shm::UniqueFd& socket_;
};

int choose(SSL*, const unsigned char** chosen, unsigned char* bytes, const unsigned char* offered, unsigned count,
           void* protocol) {
  const auto& wanted = *static_cast<const std::string*>(protocol);
  for (unsigned at = 0; at < count; at += 1U + offered[at]) {
    if (wanted != std::string_view(reinterpret_cast<const char*>(offered) + at + 1, offered[at])) continue;
    *chosen = offered + at + 1;
    *bytes = offered[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

TlsHost::TlsHost(const Identity& identity, const std::vector<const Identity*>& chain, const TlsHostSettings& settings,
                 std::vector<std::string> script, int gate)
    : context_(SSL_CTX_new(TLS_server_method())),
      protocol_(settings.protocol),
      waits_(settings.waits),
      script_(std::move(script)),
      gate_(gate) {
  SSL_CTX_use_certificate(context_.get(), identity.certificate.get());
  SSL_CTX_use_PrivateKey(context_.get(), identity.key.get());
  for (const auto* const next : chain) SSL_CTX_add1_chain_cert(context_.get(), next->certificate.get());
  SSL_CTX_set_min_proto_version(context_.get(), settings.version);
  SSL_CTX_set_max_proto_version(context_.get(), settings.version);
  if (!settings.suite.empty()) {
    SSL_CTX_set_ciphersuites(context_.get(), settings.suite.c_str());
    SSL_CTX_set_cipher_list(context_.get(), settings.suite.c_str());
  }
  // Tickets make a socket readable on which there is nothing to read.
  SSL_CTX_set_num_tickets(context_.get(), 0);
  SSL_CTX_set_options(context_.get(), SSL_OP_NO_TICKET);
  if (!protocol_.empty()) SSL_CTX_set_alpn_select_cb(context_.get(), choose, &protocol_);
  thread_ = std::thread([this] {
    block_sigpipe();
    serve();
  });
}

TlsHost::~TlsHost() {
  listener_.stop();
  thread_.join();
}

void TlsHost::serve() {
  while (auto socket = listener_.accept()) {
    ++connections_;
    const SslHandle ssl(SSL_new(context_.get()));
    SSL_set_fd(ssl.get(), socket.get());
    if (waits_) wait_at(gate_);
    if (SSL_accept(ssl.get()) <= 0) continue;
    ++handshakes_;
    TlsEnd end(ssl.get(), socket);
    play(end, script_, gate_);
  }
}

}  // namespace tlsmux::test
