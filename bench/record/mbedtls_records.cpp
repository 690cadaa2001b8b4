#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <psa/crypto.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "bench/record/record_path.hpp"

namespace tlsmux::bench {
namespace {

void check(int result, const char* what) {
  if (result != 0) throw std::runtime_error(std::string(what) + ": mbedTLS error " + std::to_string(result));
}

// What one end has sent and the other has not received.
struct ByteQueue {
  std::vector<unsigned char> memory = std::vector<unsigned char>(kSealedBytesMax);
  std::size_t begin = 0;
  std::size_t end = 0;
};

class End {
 public:
  End(int role, ByteQueue& sent, ByteQueue& received) : sent_(sent), received_(received) {
    mbedtls_entropy_init(&entropy_);
    mbedtls_ctr_drbg_init(&random_);
    mbedtls_x509_crt_init(&certificate_);
    mbedtls_pk_init(&key_);
    mbedtls_ssl_config_init(&config_);
    mbedtls_ssl_init(&ssl_);
    check(mbedtls_ctr_drbg_seed(&random_, mbedtls_entropy_func, &entropy_, nullptr, 0), "random numbers");
    check(mbedtls_ssl_config_defaults(&config_, role, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT),
          "the configuration");
    mbedtls_ssl_conf_rng(&config_, mbedtls_ctr_drbg_random, &random_);
    mbedtls_ssl_conf_min_tls_version(&config_, MBEDTLS_SSL_VERSION_TLS1_3);
    static const int suites[] = {MBEDTLS_TLS1_3_AES_128_GCM_SHA256, 0};
    mbedtls_ssl_conf_ciphersuites(&config_, suites);
    mbedtls_ssl_conf_authmode(&config_, MBEDTLS_SSL_VERIFY_NONE);  // what is measured comes after the handshake
  }
  ~End() {
    mbedtls_ssl_free(&ssl_);
    mbedtls_ssl_config_free(&config_);
    mbedtls_pk_free(&key_);
    mbedtls_x509_crt_free(&certificate_);
    mbedtls_ctr_drbg_free(&random_);
    mbedtls_entropy_free(&entropy_);
  }
  End(const End&) = delete;
  End& operator=(const End&) = delete;

  void use_certificate(const std::string& certificate_file, const std::string& key_file) {
    check(mbedtls_x509_crt_parse_file(&certificate_, certificate_file.c_str()), "the certificate");
    check(mbedtls_pk_parse_keyfile(&key_, key_file.c_str(), nullptr, mbedtls_ctr_drbg_random, &random_), "the key");
    check(mbedtls_ssl_conf_own_cert(&config_, &certificate_, &key_), "the certificate");
  }

  void begin() {
    check(mbedtls_ssl_setup(&ssl_, &config_), "setting up TLS");
    check(mbedtls_ssl_set_hostname(&ssl_, nullptr), "the host's name");
    mbedtls_ssl_set_bio(&ssl_, this, &End::send, &End::receive, nullptr);
  }

  // True once it is done.
  bool shake_hands() {
    const int result = mbedtls_ssl_handshake(&ssl_);
    if (result != MBEDTLS_ERR_SSL_WANT_READ) check(result, "the handshake");
    return result == 0;
  }

  mbedtls_ssl_context* ssl() { return &ssl_; }

 private:
  static int send(void* self, const unsigned char* bytes, std::size_t count) {
    auto& queue = static_cast<End*>(self)->sent_;
    if (count > queue.memory.size() - queue.end) return MBEDTLS_ERR_SSL_WANT_WRITE;
    std::memcpy(queue.memory.data() + queue.end, bytes, count);
    queue.end += count;
    return static_cast<int>(count);
  }

  static int receive(void* self, unsigned char* bytes, std::size_t count) {
    auto& queue = static_cast<End*>(self)->received_;
    count = std::min(count, queue.end - queue.begin);
    if (count == 0) return MBEDTLS_ERR_SSL_WANT_READ;
    std::memcpy(bytes, queue.memory.data() + queue.begin, count);
    queue.begin += count;
    if (queue.begin == queue.end) queue.begin = queue.end = 0;
    return static_cast<int>(count);
  }

  ByteQueue& sent_;
  ByteQueue& received_;
  mbedtls_entropy_context entropy_;
  mbedtls_ctr_drbg_context random_;
  mbedtls_x509_crt certificate_;
  mbedtls_pk_context key_;
  mbedtls_ssl_config config_;
  mbedtls_ssl_context ssl_;
};

class MbedtlsRecords : public RecordPath {
 public:
  explicit MbedtlsRecords(const std::string& certificates) {
    check(psa_crypto_init(), "PSA");
    server_.use_certificate(certificates + "/server.pem", certificates + "/server.key");
    client_.begin();
    server_.begin();
    for (bool client_done = false, server_done = false; !client_done || !server_done;) {
      if (!client_done) client_done = client_.shake_hands();
      if (!server_done) server_done = server_.shake_hands();
    }
  }

  bool seal(Parts parts) override {
    together_.clear();
    for (const auto& part : parts) {
      const auto* bytes = reinterpret_cast<const unsigned char*>(part.data());
      together_.insert(together_.end(), bytes, bytes + part.size());
    }
    for (std::size_t written = 0; written < together_.size();) {
      const int result = mbedtls_ssl_write(client_.ssl(), together_.data() + written, together_.size() - written);
      if (result <= 0) return false;
      written += static_cast<std::size_t>(result);
    }
    return true;
  }

  bool open(std::size_t bytes) override {
    for (std::size_t opened = 0; opened < bytes;) {
      const int result = mbedtls_ssl_read(server_.ssl(), opened_.data() + opened, opened_.size() - opened);
      if (result <= 0) return false;
      opened += static_cast<std::size_t>(result);
      if (opened > bytes) return false;
    }
    return true;
  }

 private:
  ByteQueue to_server_;
  ByteQueue to_client_;
  End client_{MBEDTLS_SSL_IS_CLIENT, to_server_, to_client_};
  End server_{MBEDTLS_SSL_IS_SERVER, to_client_, to_server_};
  std::vector<unsigned char> together_;
  std::vector<unsigned char> opened_ = std::vector<unsigned char>(32UL * 1024);
};

}  // namespace

std::unique_ptr<RecordPath> make_mbedtls_records(const std::string& certificates) {
  return std::make_unique<MbedtlsRecords>(certificates);
}

}  // namespace tlsmux::bench
