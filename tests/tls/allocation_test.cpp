// Sealing and opening allocate nothing and take no lock. The linker gives this program's calls of calloc (mbedTLS's), of
// operator new (ours) and of pthread_mutex_lock (both) to the counters below: see CMakeLists.txt.
#include <doctest/doctest.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <string>

#include "tests/support/skip.hpp"
#include "tests/tls/tls_pair.hpp"

namespace {

std::atomic<long> allocations = 0;
std::atomic<long> locks = 0;

}  // namespace

extern "C" {
void* __real_calloc(std::size_t count, std::size_t size);
void* __wrap_calloc(std::size_t count, std::size_t size);
void* __wrap_calloc(std::size_t count, std::size_t size) {
  ++allocations;
  return __real_calloc(count, size);
}

// operator new(std::size_t) as the linker knows it.
void* __real__Znwm(std::size_t size);
void* __wrap__Znwm(std::size_t size);
void* __wrap__Znwm(std::size_t size) {
  ++allocations;
  return __real__Znwm(size);
}

int __real_pthread_mutex_lock(pthread_mutex_t* mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t* mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t* mutex) {
  ++locks;
  return __real_pthread_mutex_lock(mutex);
}
}

namespace tlsmux::test {
namespace {

struct Counts {
  long allocations = ::allocations;
  long locks = ::locks;
  bool operator==(const Counts&) const = default;
};

// Seals two records and opens what the host has sealed. Whether all went well without allocation or lock.
bool is_frugal(TlsPair& pair, std::size_t expected_bytes) {
  const std::string text(3000, 'x');
  const std::array parts = {std::as_bytes(std::span(text)), std::as_bytes(std::span(text))};
  auto sealed_by_host = pair.host().take_output();
  const auto first = std::span(sealed_by_host).first(10);  // the second part is put together with it
  std::size_t opened = 0;
  const auto on_plaintext = [&](std::span<const std::byte> plaintext) { opened += plaintext.size(); };
  auto& session = pair.session();

  const Counts before;
  bool worked = session.open(first, on_plaintext, pair.wire()).has_value();
  worked = session.open(std::span(sealed_by_host).subspan(10), on_plaintext, pair.wire()).has_value() && worked;
  worked = session.seal(parts, pair.wire()).has_value() && worked;
  worked = session.seal(parts, pair.wire()).has_value() && worked;
  const Counts after;

  CHECK(worked);
  CHECK(opened == expected_bytes);
  pair.flush();
  CHECK_FALSE(pair.host().failed());
  return before == after;
}

TEST_CASE("tls.seal and open allocate nothing and take no lock") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    OpenSslHost host(host_identity(), {.version_min = version, .version_max = version});
    const auto client = make_client();
    const Counts before_handshake;
    TlsPair pair(*client, host);
    REQUIRE(pair.shake_hands());
    CHECK(allocations > before_handshake.allocations);  // it counts
    CHECK(locks > before_handshake.locks);
    REQUIRE(pair.open_all());  // takes the tickets, which allocates
    pair.host().write(std::string(3000, 'y'));
    pair.host().write(std::string(16'000, 'y'));
    CHECK(is_frugal(pair, 19'000));
  }
}

TEST_CASE("tls.key updates allocate nothing and take no lock") {
  if (tls_library().aead_library() == engine::tls::AeadLibrary::mbedtls) {
    skip("mbedTLS allocates for each AES key, and this processor leaves no other library");
    return;
  }
  OpenSslHost host(host_identity(), {.version_min = TLS1_3_VERSION});
  const auto client = make_client();
  TlsPair pair(*client, host);
  REQUIRE(pair.shake_hands());
  REQUIRE(pair.open_all());
  for (int i = 0; i < 3; ++i) {
    REQUIRE(SSL_key_update(pair.host().ssl(), SSL_KEY_UPDATE_REQUESTED) == 1);
    pair.host().write("data");
    CHECK(is_frugal(pair, 4));
  }
}

}  // namespace
}  // namespace tlsmux::test
