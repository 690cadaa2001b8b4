#include "engine/tls/record/key_schedule.hpp"

#include <mbedtls/sha256.h>
#include <mbedtls/sha512.h>
#include <mbedtls/ssl.h>

#include <algorithm>

#include "engine/tls/secret_bytes.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine::tls {
namespace {

using Bytes = std::span<const std::uint8_t>;

// These fail only where hardware takes the place of mbedTLS's own code.
void succeed(int code) { TMX_ASSERT(code == 0); }

struct Sha256 {
  static constexpr std::size_t kBlockBytes = 64;
  static constexpr std::size_t kDigestBytes = 32;
  Sha256() {
    mbedtls_sha256_init(&context);
    succeed(mbedtls_sha256_starts(&context, 0));
  }
  ~Sha256() { mbedtls_sha256_free(&context); }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(Bytes bytes) { succeed(mbedtls_sha256_update(&context, bytes.data(), bytes.size())); }
  void finish(std::uint8_t* digest) { succeed(mbedtls_sha256_finish(&context, digest)); }
  mbedtls_sha256_context context;
};

struct Sha384 {
  static constexpr std::size_t kBlockBytes = 128;
  static constexpr std::size_t kDigestBytes = 48;
  Sha384() {
    mbedtls_sha512_init(&context);
    succeed(mbedtls_sha512_starts(&context, 1));
  }
  ~Sha384() { mbedtls_sha512_free(&context); }
  Sha384(const Sha384&) = delete;
  Sha384& operator=(const Sha384&) = delete;
  void update(Bytes bytes) { succeed(mbedtls_sha512_update(&context, bytes.data(), bytes.size())); }
  void finish(std::uint8_t* digest) { succeed(mbedtls_sha512_finish(&context, digest)); }
  mbedtls_sha512_context context;
};

// RFC 2104. mbedTLS's own HMAC and HKDF allocate, and a KeyUpdate comes on the data loop. Requires a key no longer than
// a block.
template <typename Hash>
void hmac(Bytes key, Bytes text, std::array<std::uint8_t, Hash::kDigestBytes>& digest) {
  TMX_ASSERT(key.size() <= Hash::kBlockBytes);
  Wiped<std::array<std::uint8_t, Hash::kBlockBytes>> pad;
  const auto start = [&](Hash& hash, std::uint8_t mask) {
    pad->fill(mask);
    for (std::size_t i = 0; i < key.size(); ++i) (*pad)[i] ^= key[i];
    hash.update(*pad);
  };
  Hash inner;
  start(inner, 0x36);
  inner.update(text);
  inner.finish(digest.data());
  Hash outer;
  start(outer, 0x5C);
  outer.update(digest);
  outer.finish(digest.data());
}

template <typename Hash>
void expand(Bytes secret, Bytes info, std::span<std::uint8_t> output) {
  TMX_ASSERT(output.size() <= Hash::kDigestBytes);
  Wiped<std::array<std::uint8_t, Hash::kDigestBytes>> digest;
  hmac<Hash>(secret, info, *digest);
  std::copy_n(digest->begin(), output.size(), output.begin());
}

std::span<std::uint8_t> octets(std::span<std::byte> bytes) {
  return {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace

void expand_label(HashAlgorithm hash, std::span<const std::uint8_t> secret, std::string_view label,
                  std::span<std::uint8_t> output) {
  constexpr std::string_view kPrefix = "tls13 ";
  constexpr std::size_t kLabelBytesMax = 12;
  TMX_ASSERT(label.size() <= kLabelBytesMax);
  // HkdfLabel: length, label, context. Behind it the number of the only block there is (RFC 5869 section 2.3).
  std::array<std::uint8_t, 2 + 1 + kPrefix.size() + kLabelBytesMax + 1 + 1> info{};
  std::size_t size = 0;
  info[size++] = static_cast<std::uint8_t>(output.size() >> 8);
  info[size++] = static_cast<std::uint8_t>(output.size());
  info[size++] = static_cast<std::uint8_t>(kPrefix.size() + label.size());
  for (const char c : kPrefix) info[size++] = static_cast<std::uint8_t>(c);
  for (const char c : label) info[size++] = static_cast<std::uint8_t>(c);
  info[size++] = 0;
  info[size++] = 1;
  const Bytes used = std::span(info).first(size);
  hash == HashAlgorithm::sha256 ? expand<Sha256>(secret, used, output) : expand<Sha384>(secret, used, output);
}

void derive_traffic_key(const RecordSuite& suite, std::span<const std::uint8_t> secret, TrafficKey& key) {
  expand_label(suite.hash, secret, "key", octets(key.key).first(aead_key_bytes(suite.aead)));
  expand_label(suite.hash, secret, "iv", octets(key.iv));
}

void advance_secret(HashAlgorithm hash, std::span<std::uint8_t> secret) {
  expand_label(hash, secret, "traffic upd", secret);
}

bool derive_key_block(const RecordSuite& suite, const SessionState& state, KeyBlock& block) {
  const std::size_t key_bytes = aead_key_bytes(suite.aead);
  const std::size_t iv_bytes = suite.has_explicit_nonce() ? 4 : kAeadNonceBytes;
  std::array<std::uint8_t, 64> randoms{};  // in this order here, in the other one for the master secret
  std::ranges::copy(state.client_random, std::ranges::copy(state.server_random, randoms.begin()).out);
  Wiped<std::array<std::uint8_t, 2 * (kAeadKeyBytesMax + kAeadNonceBytes)>> bytes;
  const auto prf = suite.hash == HashAlgorithm::sha256 ? MBEDTLS_SSL_TLS_PRF_SHA256 : MBEDTLS_SSL_TLS_PRF_SHA384;
  if (mbedtls_ssl_tls_prf(prf, state.master_secret.data(), state.secret_bytes, "key expansion", randoms.data(),
                          randoms.size(), bytes->data(), 2 * (key_bytes + iv_bytes)) != 0) {
    return false;
  }
  const std::uint8_t* at = bytes->data();  // there are no MAC keys
  const auto take = [&](std::span<std::byte> target) {
    std::copy_n(at, target.size(), octets(target).begin());
    at += target.size();
  };
  take(std::span(block.client.key).first(key_bytes));
  take(std::span(block.server.key).first(key_bytes));
  take(std::span(block.client.iv).first(iv_bytes));
  take(std::span(block.server.iv).first(iv_bytes));
  return true;
}

}  // namespace tlsmux::engine::tls
