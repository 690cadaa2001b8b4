// A program with a TLS connection of its own, by mbedTLS, set up as well as it can be: kept warm, no Nagle, a buffer
// below TLS (mbedTLS asks for header and body of a record apart), the session kept for the next process.

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <psa/crypto.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/client/connect.hpp"
#include "bench/client/session_file.hpp"
#include "bench/client/stream_link.hpp"

namespace {

using namespace tlsmux::bench;

void check(int result, const char* what) {
  if (result != 0) throw std::runtime_error(std::string(what) + ": mbedTLS error " + std::to_string(result));
}

class MbedtlsStream {
 public:
  explicit MbedtlsStream(const ClientArguments& arguments) : session_file_(arguments.session_file) {
    mbedtls_entropy_init(&entropy_);
    mbedtls_ctr_drbg_init(&random_);
    mbedtls_x509_crt_init(&ca_);
    mbedtls_ssl_config_init(&config_);
    mbedtls_ssl_init(&ssl_);
    check(psa_crypto_init(), "PSA");
    check(mbedtls_ctr_drbg_seed(&random_, mbedtls_entropy_func, &entropy_, nullptr, 0), "random numbers");
    check(mbedtls_x509_crt_parse_file(&ca_, arguments.ca_file.c_str()), "the CA file");
    check(mbedtls_ssl_config_defaults(&config_, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                      MBEDTLS_SSL_PRESET_DEFAULT),
          "the configuration");
    mbedtls_ssl_conf_min_tls_version(&config_, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_authmode(&config_, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&config_, &ca_, nullptr);
    mbedtls_ssl_conf_rng(&config_, mbedtls_ctr_drbg_random, &random_);
    if (!session_file_.empty()) {
      mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(&config_,
                                                               MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
    }
    socket_ = connect_to(arguments.target);
    check(mbedtls_ssl_setup(&ssl_, &config_), "setting up TLS");
    check(mbedtls_ssl_set_hostname(&ssl_, "localhost"), "the host's name");
    mbedtls_ssl_set_bio(&ssl_, this, &MbedtlsStream::send, &MbedtlsStream::receive, nullptr);
    resume();
    check(mbedtls_ssl_handshake(&ssl_), "the handshake");
  }

  ~MbedtlsStream() {
    mbedtls_ssl_close_notify(&ssl_);
    mbedtls_ssl_free(&ssl_);
    mbedtls_ssl_config_free(&config_);
    mbedtls_x509_crt_free(&ca_);
    mbedtls_ctr_drbg_free(&random_);
    mbedtls_entropy_free(&entropy_);
  }
  MbedtlsStream(const MbedtlsStream&) = delete;
  MbedtlsStream& operator=(const MbedtlsStream&) = delete;

  bool write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const int written = mbedtls_ssl_write(&ssl_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
      if (written <= 0) return false;
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return true;
  }

  std::size_t read(std::span<std::byte> bytes) {
    for (;;) {
      const int received = mbedtls_ssl_read(&ssl_, reinterpret_cast<unsigned char*>(bytes.data()), bytes.size());
      if (received > 0) return static_cast<std::size_t>(received);
      if (received == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
        store();
      } else if (received != MBEDTLS_ERR_SSL_WANT_READ) {  // which comes after a ticket that is not signalled
        return 0;
      }
    }
  }

 private:
  static int send(void* self, const unsigned char* bytes, std::size_t count) {
    const auto sent = ::send(static_cast<MbedtlsStream*>(self)->socket_.get(), bytes, count, MSG_NOSIGNAL);
    return sent >= 0 ? static_cast<int>(sent) : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
  }

  static int receive(void* self, unsigned char* bytes, std::size_t count) {
    return static_cast<MbedtlsStream*>(self)->receive(bytes, count);
  }

  int receive(unsigned char* bytes, std::size_t count) {
    if (begin_ == end_) {
      const auto received = ::recv(socket_.get(), input_.data(), input_.size(), 0);
      if (received <= 0) return received == 0 ? 0 : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
      begin_ = 0;
      end_ = static_cast<std::size_t>(received);
    }
    count = std::min(count, end_ - begin_);
    std::memcpy(bytes, input_.data() + begin_, count);
    begin_ += count;
    return static_cast<int>(count);
  }

  // The first one is kept: a ticket serves any number of times.
  void store() {
    if (std::ifstream(session_file_).good()) return;
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    std::vector<unsigned char> bytes(4096);
    std::size_t used = 0;
    if (mbedtls_ssl_get_session(&ssl_, &session) == 0 &&
        mbedtls_ssl_session_save(&session, bytes.data(), bytes.size(), &used) == 0) {
      write_session_file(session_file_, std::span(bytes).first(used));
    }
    mbedtls_ssl_session_free(&session);
  }

  void resume() {
    std::ifstream file(session_file_, std::ios::binary);
    if (session_file_.empty() || !file) return;
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    int result = mbedtls_ssl_session_load(&session, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    if (result == 0) result = mbedtls_ssl_set_session(&ssl_, &session);
    mbedtls_ssl_session_free(&session);
    check(result, "the kept session");
  }

  std::string session_file_;
  mbedtls_entropy_context entropy_;
  mbedtls_ctr_drbg_context random_;
  mbedtls_x509_crt ca_;
  mbedtls_ssl_config config_;
  mbedtls_ssl_context ssl_;
  tlsmux::shm::UniqueFd socket_;
  std::array<unsigned char, 20UL * 1024> input_;  // [begin_, end_) is yet to be handed up
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace

int main(int argc, char** argv) { return client_main<StreamLink<MbedtlsStream>>(argc, argv); }
