// A program with a TLS connection of its own, by OpenSSL, set up as well as it can be: kept warm, no Nagle, read-ahead
// (one recv for header and body of a record), the session kept for the next process.

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <vector>

#include "bench/client/connect.hpp"
#include "bench/client/session_file.hpp"
#include "bench/client/stream_link.hpp"

namespace {

using namespace tlsmux::bench;

struct Free {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};

[[noreturn]] void fail(const char* what) {
  char words[256] = "";
  ERR_error_string_n(ERR_get_error(), words, sizeof words);
  throw std::runtime_error(std::string(what) + ": " + words);
}

class OpensslStream {
 public:
  explicit OpensslStream(const ClientArguments& arguments)
      : session_file_(arguments.session_file), context_(SSL_CTX_new(TLS_client_method())) {
    if (!context_ || SSL_CTX_load_verify_file(context_.get(), arguments.ca_file.c_str()) != 1) fail("the CA file");
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_3_VERSION);
    SSL_CTX_set_read_ahead(context_.get(), 1);
    if (!session_file_.empty()) keep_sessions();
    socket_ = connect_to(arguments.target);
    ssl_.reset(SSL_new(context_.get()));
    if (!ssl_ || SSL_set_fd(ssl_.get(), socket_.get()) != 1 || SSL_set1_host(ssl_.get(), "localhost") != 1 ||
        SSL_set_tlsext_host_name(ssl_.get(), "localhost") != 1) {
      fail("setting up TLS");
    }
    resume();
    if (SSL_connect(ssl_.get()) != 1) fail("the handshake");
  }

  ~OpensslStream() { SSL_shutdown(ssl_.get()); }
  OpensslStream(const OpensslStream&) = delete;
  OpensslStream& operator=(const OpensslStream&) = delete;

  bool write(std::span<const std::byte> bytes) {
    std::size_t written = 0;
    return SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written) == 1;
  }

  std::size_t read(std::span<std::byte> bytes) {
    std::size_t received = 0;
    return SSL_read_ex(ssl_.get(), bytes.data(), bytes.size(), &received) == 1 ? received : 0;
  }

 private:
  void keep_sessions() {
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(context_.get(), this);
    SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* ssl, SSL_SESSION* session) {
      static_cast<OpensslStream*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->store(session);
      return 0;  // it stays OpenSSL's
    });
  }

  // The first one is kept: a ticket serves any number of times.
  void store(SSL_SESSION* session) const {
    if (std::ifstream(session_file_).good()) return;
    std::vector<unsigned char> bytes(static_cast<std::size_t>(i2d_SSL_SESSION(session, nullptr)));
    auto* to = bytes.data();
    i2d_SSL_SESSION(session, &to);
    write_session_file(session_file_, bytes);
  }

  void resume() {
    std::ifstream file(session_file_, std::ios::binary);
    if (session_file_.empty() || !file) return;
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
    const std::unique_ptr<SSL_SESSION, Free> session(d2i_SSL_SESSION(nullptr, &from, static_cast<long>(bytes.size())));
    if (!session || SSL_set_session(ssl_.get(), session.get()) != 1) fail("the kept session");
  }

  std::string session_file_;
  std::unique_ptr<SSL_CTX, Free> context_;
  tlsmux::shm::UniqueFd socket_;
  std::unique_ptr<SSL, Free> ssl_;
};

}  // namespace

int main(int argc, char** argv) { return client_main<StreamLink<OpensslStream>>(argc, argv); }
