#include <doctest/doctest.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <string>
#include <vector>

#include "engine/tls/cipher_suites.hpp"
#include "engine/tls/record/key_schedule.hpp"
#include "tests/tls/openssl_handles.hpp"
#include "tests/tls/record_rig.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::HashAlgorithm;
using engine::tls::Role;
using engine::tls::TrafficKey;
using Octets = std::vector<std::uint8_t>;
using Derivation = std::unique_ptr<EVP_KDF_CTX, Freer<EVP_KDF_CTX_free>>;

Octets octets(std::string_view hexadecimal) {
  Octets bytes;
  for (std::size_t i = 0; i + 1 < hexadecimal.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoi(std::string(hexadecimal.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

template <typename Span>
Octets octets_of(const Span& bytes) {
  const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
  return {first, first + bytes.size()};
}

Derivation derivation(const char* name) {
  EVP_KDF* algorithm = EVP_KDF_fetch(nullptr, name, nullptr);
  Derivation context(EVP_KDF_CTX_new(algorithm));
  EVP_KDF_free(algorithm);
  REQUIRE(context != nullptr);
  return context;
}

OSSL_PARAM octet_parameter(const char* name, const Octets& value) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(value.data()), value.size());
}

OSSL_PARAM digest_parameter(HashAlgorithm hash) {
  return OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                          const_cast<char*>(hash == HashAlgorithm::sha256 ? "SHA256" : "SHA384"), 0);
}

// HKDF-Expand with the label put together here (RFC 8446 section 7.1).
Octets expand_by_openssl(HashAlgorithm hash, const Octets& secret, const std::string& label, std::size_t size) {
  const std::string full = "tls13 " + label;
  Octets info = {static_cast<std::uint8_t>(size >> 8), static_cast<std::uint8_t>(size),
                 static_cast<std::uint8_t>(full.size())};
  info.insert(info.end(), full.begin(), full.end());
  info.push_back(0);
  int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  const std::array parameters = {digest_parameter(hash), OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
                                 octet_parameter(OSSL_KDF_PARAM_KEY, secret),
                                 octet_parameter(OSSL_KDF_PARAM_INFO, info), OSSL_PARAM_construct_end()};
  Octets output(size);
  REQUIRE(EVP_KDF_derive(derivation("HKDF").get(), output.data(), output.size(), parameters.data()) == 1);
  return output;
}

TEST_CASE("record.keys are those of the handshake traced in RFC 8448 section 3") {
  const auto suite = suite_of({engine::tls::kTls13, 0x1301});
  TrafficKey server;
  derive_traffic_key(suite, octets("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"), server);
  CHECK(octets_of(server.key_of(suite.aead)) == octets("9f02283b6c9c07efc26bb9f2ac92e356"));
  CHECK(octets_of(server.iv) == octets("cf782b88dd83549aadf1e984"));
  TrafficKey client;
  derive_traffic_key(suite, octets("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"), client);
  CHECK(octets_of(client.key_of(suite.aead)) == octets("17422dda596ed5d9acd890e3c63f5051"));
  CHECK(octets_of(client.iv) == octets("5b78923dee08579033e523d9"));
}

TEST_CASE("record.sealed bytes are those of the first record in RFC 8448 section 3") {
  auto state = made_up_state(Role::client, {engine::tls::kTls13, 0x1301});
  std::ranges::copy(octets("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"),
                    state.client_secret.begin());
  std::string text(50, 0);
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i);
  for (const auto library : usable_libraries()) {
    RecordEnd end(state, library);
    REQUIRE(end.seal(text));
    CHECK(octets_of(end.take_output()) ==
          octets(
              "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f"
              "5a6292a2977014bd1e3deae63aeebb21694915e4"));
  }
}

TEST_CASE("record.expansion of labels agrees with OpenSSL's") {
  for (const auto hash : {HashAlgorithm::sha256, HashAlgorithm::sha384}) {
    Octets secret(engine::tls::hash_bytes(hash));
    for (int round = 0; round < 50; ++round) {
      for (const std::string label : {"key", "iv", "traffic upd", ""}) {
        for (const std::size_t size : {std::size_t{1}, std::size_t{12}, std::size_t{32}, secret.size()}) {
          Octets output(size);
          expand_label(hash, secret, label, output);
          REQUIRE(output == expand_by_openssl(hash, secret, label, size));
        }
      }
      const auto next = expand_by_openssl(hash, secret, "traffic upd", secret.size());
      advance_secret(hash, secret);
      REQUIRE(secret == next);
    }
  }
}

TEST_CASE("record.key block of TLS 1.2 agrees with OpenSSL's") {
  for (const auto& [version, number] : kRecordSuites) {
    if (version != engine::tls::kTls12) continue;
    const auto suite = suite_of({version, number});
    const auto state = made_up_state(Role::client, {version, number});
    engine::tls::KeyBlock block;
    REQUIRE(derive_key_block(suite, state, block));

    Octets seed = octets_of(std::string_view("key expansion"));
    seed.insert(seed.end(), state.server_random.begin(), state.server_random.end());
    seed.insert(seed.end(), state.client_random.begin(), state.client_random.end());
    const Octets master(state.master_secret.begin(), state.master_secret.end());
    const std::array parameters = {digest_parameter(suite.hash), octet_parameter(OSSL_KDF_PARAM_SECRET, master),
                                   octet_parameter(OSSL_KDF_PARAM_SEED, seed), OSSL_PARAM_construct_end()};
    const std::size_t iv_bytes = suite.is_gcm() ? 4 : 12;
    Octets expected(2 * (aead_key_bytes(suite.aead) + iv_bytes));
    REQUIRE(EVP_KDF_derive(derivation("TLS1-PRF").get(), expected.data(), expected.size(), parameters.data()) == 1);

    Octets own;
    const auto append = [&](std::span<const std::byte> bytes) {
      const auto more = octets_of(bytes);
      own.insert(own.end(), more.begin(), more.end());
    };
    append(block.client.key_of(suite.aead));
    append(block.server.key_of(suite.aead));
    append(std::span(block.client.iv).first(iv_bytes));
    append(std::span(block.server.iv).first(iv_bytes));
    CHECK(own == expected);
  }
}

TEST_CASE("record.every suite that can be agreed on has its records") {
  const auto numbers = engine::tls::suite_numbers({});
  REQUIRE(numbers->size() == 10);  // the last is 0
  for (const int number : *numbers) {
    if (number == 0) continue;
    const auto suite = suite_of({engine::tls::kTls12, static_cast<std::uint16_t>(number)});
    const auto name = engine::tls::cipher_suite_name(number);
    CHECK(name.contains("AES_128_GCM") == (suite.aead == engine::tls::AeadAlgorithm::aes_128_gcm));
    CHECK(name.contains("AES_256_GCM") == (suite.aead == engine::tls::AeadAlgorithm::aes_256_gcm));
    CHECK(name.contains("CHACHA20_POLY1305") == (suite.aead == engine::tls::AeadAlgorithm::chacha20_poly1305));
    CHECK(name.ends_with("SHA384") == (suite.hash == HashAlgorithm::sha384));
  }
  CHECK_FALSE(engine::tls::record_suite(engine::tls::kTls12, 0x002F));
}

}  // namespace
}  // namespace tlsmux::test
