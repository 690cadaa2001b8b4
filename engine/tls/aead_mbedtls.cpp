#include "engine/tls/aead_mbedtls.hpp"

#include <mbedtls/chachapoly.h>
#include <mbedtls/gcm.h>

#include <new>

#include "engine/tls/aead_parts.hpp"
#include "engine/tls/locked_memory.hpp"

namespace tlsmux::engine::tls {
namespace {

const unsigned char* octets(const std::byte* bytes) { return reinterpret_cast<const unsigned char*>(bytes); }
unsigned char* octets(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

// What is called here fails only when used wrongly, except where memory is allocated.
void succeed(int result) { TMX_ASSERT(result == 0); }

class MbedtlsGcm {
 public:
  explicit MbedtlsGcm(Locked<mbedtls_gcm_context> context) : context_(std::move(context)) {
    mbedtls_gcm_init(&*context_);
  }
  ~MbedtlsGcm() { mbedtls_gcm_free(&*context_); }
  MbedtlsGcm(const MbedtlsGcm&) = delete;
  MbedtlsGcm& operator=(const MbedtlsGcm&) = delete;

  // mbedTLS frees the cipher of the key before, which wipes it, and allocates another.
  void set_key(std::span<const std::byte> key) {
    if (mbedtls_gcm_setkey(&*context_, MBEDTLS_CIPHER_ID_AES, octets(key.data()),
                           static_cast<unsigned>(key.size() * 8)) != 0) {
      throw std::bad_alloc();
    }
  }

  void seal(const AeadNonce& nonce, std::span<const std::byte> additional, std::span<const std::byte> text,
            std::byte* destination, AeadTag tag) {
    succeed(mbedtls_gcm_crypt_and_tag(&*context_, MBEDTLS_GCM_ENCRYPT, text.size(), octets(nonce.data()), nonce.size(),
                                      octets(additional.data()), additional.size(), octets(text.data()),
                                      octets(destination), tag.size(), octets(tag.data())));
  }

  void begin(const AeadNonce& nonce, std::span<const std::byte> additional) {
    succeed(mbedtls_gcm_starts(&*context_, MBEDTLS_GCM_ENCRYPT, octets(nonce.data()), nonce.size()));
    succeed(mbedtls_gcm_update_ad(&*context_, octets(additional.data()), additional.size()));
  }
  void update(std::span<const std::byte> source, std::byte* destination) {
    std::size_t written = 0;
    succeed(mbedtls_gcm_update(&*context_, octets(source.data()), source.size(), octets(destination), source.size(),
                               &written));
    TMX_ASSERT(written == source.size());
  }
  void finish(AeadTag tag) {
    std::size_t written = 0;
    succeed(mbedtls_gcm_finish(&*context_, nullptr, 0, &written, octets(tag.data()), tag.size()));
    TMX_ASSERT(written == 0);
  }

  // Not mbedtls_gcm_auth_decrypt: the comparison is the same for all libraries.
  void open(const AeadNonce& nonce, std::span<const std::byte> additional, std::span<const std::byte> text,
            std::byte* destination, AeadTag tag) {
    succeed(mbedtls_gcm_crypt_and_tag(&*context_, MBEDTLS_GCM_DECRYPT, text.size(), octets(nonce.data()), nonce.size(),
                                      octets(additional.data()), additional.size(), octets(text.data()),
                                      octets(destination), tag.size(), octets(tag.data())));
  }

 private:
  Locked<mbedtls_gcm_context> context_;
};

class MbedtlsChacha {
 public:
  explicit MbedtlsChacha(Locked<mbedtls_chachapoly_context> context) : context_(std::move(context)) {
    mbedtls_chachapoly_init(&*context_);
  }
  ~MbedtlsChacha() { mbedtls_chachapoly_free(&*context_); }
  MbedtlsChacha(const MbedtlsChacha&) = delete;
  MbedtlsChacha& operator=(const MbedtlsChacha&) = delete;

  void set_key(std::span<const std::byte> key) { succeed(mbedtls_chachapoly_setkey(&*context_, octets(key.data()))); }

  void seal(const AeadNonce& nonce, std::span<const std::byte> additional, std::span<const std::byte> text,
            std::byte* destination, AeadTag tag) {
    start(nonce, additional, MBEDTLS_CHACHAPOLY_ENCRYPT);
    update(text, destination);
    finish(tag);
  }

  void begin(const AeadNonce& nonce, std::span<const std::byte> additional) {
    start(nonce, additional, MBEDTLS_CHACHAPOLY_ENCRYPT);
  }
  void update(std::span<const std::byte> source, std::byte* destination) {
    succeed(mbedtls_chachapoly_update(&*context_, source.size(), octets(source.data()), octets(destination)));
  }
  void finish(AeadTag tag) { succeed(mbedtls_chachapoly_finish(&*context_, octets(tag.data()))); }

  void open(const AeadNonce& nonce, std::span<const std::byte> additional, std::span<const std::byte> text,
            std::byte* destination, AeadTag tag) {
    start(nonce, additional, MBEDTLS_CHACHAPOLY_DECRYPT);
    update(text, destination);
    finish(tag);
  }

 private:
  void start(const AeadNonce& nonce, std::span<const std::byte> additional, mbedtls_chachapoly_mode_t mode) {
    succeed(mbedtls_chachapoly_starts(&*context_, octets(nonce.data()), mode));
    succeed(mbedtls_chachapoly_update_aad(&*context_, octets(additional.data()), additional.size()));
  }

  Locked<mbedtls_chachapoly_context> context_;
};

template <typename Cipher, typename Context>
std::unique_ptr<Aead> make(std::span<const std::byte> key, std::size_t gather_bytes_min) {
  Locked<Context> context;
  if (!context) {
    return nullptr;
  }
  try {
    auto aead = std::make_unique<PartsAead<Cipher>>(key.size(), gather_bytes_min, std::move(context));
    aead->set_key(key);
    return aead;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

}  // namespace

std::unique_ptr<Aead> make_mbedtls_aead(AeadAlgorithm algorithm, std::span<const std::byte> key,
                                        std::size_t gather_bytes_min) {
  return algorithm == AeadAlgorithm::chacha20_poly1305
             ? make<MbedtlsChacha, mbedtls_chachapoly_context>(key, gather_bytes_min)
             : make<MbedtlsGcm, mbedtls_gcm_context>(key, gather_bytes_min);
}

}  // namespace tlsmux::engine::tls
