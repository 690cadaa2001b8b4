// Sealing and opening allocate nothing. The linker gives this program's calls of calloc (mbedTLS's) and of operator new
// (ours) to the counters below: see CMakeLists.txt.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <string>

#include "tests/tls/tls_pair.hpp"

namespace {

std::atomic<long> allocations = 0;

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
}

namespace tlsmux::test {
namespace {

TEST_CASE("tls.seal and open allocate nothing") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    OpenSslHost host(host_identity(), {.version_min = version, .version_max = version});
    const auto client = make_client();
    const long before_handshake = allocations;
    TlsPair pair(*client, host);
    REQUIRE(pair.shake_hands());
    CHECK(allocations > before_handshake);  // it counts
    REQUIRE(pair.open_all());               // takes the tickets, which allocates

    auto& session = pair.session();
    const std::string text(3000, 'x');
    const std::array parts = {std::as_bytes(std::span(text)), std::as_bytes(std::span(text))};
    pair.host().write(text);
    const auto sealed_by_host = pair.host().take_output();
    std::size_t opened = 0;

    const long before = allocations;
    bool worked = session.seal(parts, pair.wire()).has_value();
    worked =
        session
            .open(
                sealed_by_host, [&](std::span<const std::byte> plaintext) { opened += plaintext.size(); }, pair.wire())
            .has_value() &&
        worked;
    const long after = allocations;
    CHECK(worked);
    CHECK(opened == text.size());
    CHECK(after == before);
  }
}

}  // namespace
}  // namespace tlsmux::test
