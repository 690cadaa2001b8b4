#include "tests/tls/aead_oracle.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <stdexcept>

#include "tests/tls/openssl_handles.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::AeadAlgorithm;
using engine::tls::AeadLibrary;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Freer<EVP_CIPHER_CTX_free>>;

const EVP_CIPHER* evp_cipher(AeadAlgorithm algorithm) {
  switch (algorithm) {
    case AeadAlgorithm::aes_128_gcm: return EVP_aes_128_gcm();
    case AeadAlgorithm::aes_256_gcm: return EVP_aes_256_gcm();
    case AeadAlgorithm::chacha20_poly1305: return EVP_chacha20_poly1305();
  }
  return nullptr;
}

const unsigned char* octets(const std::byte* bytes) { return reinterpret_cast<const unsigned char*>(bytes); }
unsigned char* octets(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

void require(int result) {
  if (result != 1) {
    throw std::runtime_error("OpenSSL failed");
  }
}

}  // namespace

std::vector<AeadLibrary> usable_aead_libraries() {
  std::vector<AeadLibrary> usable;
  for (const auto library : {AeadLibrary::ipsec_mb, AeadLibrary::mbedtls}) {
    if (engine::tls::aead_is_usable(library)) {
      usable.push_back(library);
    }
  }
  return usable;
}

Bytes from_hex(std::string_view hex) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

engine::tls::AeadNonce nonce_of(std::span<const std::byte> bytes) {
  engine::tls::AeadNonce nonce{};
  std::ranges::copy(bytes.first(nonce.size()), nonce.begin());
  return nonce;
}

Bytes random_bytes(std::mt19937_64& random, std::size_t size) {
  Bytes bytes(size);
  for (auto& byte : bytes) {
    byte = static_cast<std::byte>(random());
  }
  return bytes;
}

Bytes openssl_seal(AeadAlgorithm algorithm, std::span<const std::byte> key, const engine::tls::AeadNonce& nonce,
                   std::span<const std::byte> additional, std::span<const std::byte> text) {
  const CipherContext context(EVP_CIPHER_CTX_new());
  Bytes sealed(text.size() + engine::tls::kAeadTagBytes);
  int written = 0;
  require(EVP_EncryptInit_ex(context.get(), evp_cipher(algorithm), nullptr, octets(key.data()), octets(nonce.data())));
  if (!additional.empty()) {
    require(EVP_EncryptUpdate(context.get(), nullptr, &written, octets(additional.data()),
                              static_cast<int>(additional.size())));
  }
  if (!text.empty()) {
    require(EVP_EncryptUpdate(context.get(), octets(sealed.data()), &written, octets(text.data()),
                              static_cast<int>(text.size())));
  }
  std::byte* tag = sealed.data() + text.size();
  require(EVP_EncryptFinal_ex(context.get(), octets(tag), &written));
  require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, engine::tls::kAeadTagBytes, tag));
  return sealed;
}

Bytes seal(engine::tls::Aead& aead, const engine::tls::AeadNonce& nonce, std::span<const std::byte> additional,
           std::span<const std::span<const std::byte>> parts) {
  std::size_t size = engine::tls::kAeadTagBytes;
  for (const auto part : parts) {
    size += part.size();
  }
  Bytes sealed(size);
  aead.seal(nonce, additional, parts, sealed);
  return sealed;
}

AeadCase::AeadCase(AeadAlgorithm which, std::mt19937_64& random, std::size_t additional_size)
    : algorithm(which),
      key(random_bytes(random, engine::tls::aead_key_bytes(which))),
      nonce(nonce_of(random_bytes(random, engine::tls::kAeadNonceBytes))),
      additional(random_bytes(random, additional_size)) {
  for (const auto library : usable_aead_libraries()) {
    for (const std::size_t gather_bytes_min : {kAlwaysGather, kNeverGather}) {
      aeads.push_back(engine::tls::make_aead(library, algorithm, key, gather_bytes_min));
      if (aeads.back() == nullptr) {
        throw std::bad_alloc();
      }
    }
  }
}

}  // namespace tlsmux::test
