// What an Aead allocates after it was made: nothing, but where aead_mbedtls.hpp says so. The linker gives this program's
// calls of the allocating functions to the counter below: see CMakeLists.txt.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <vector>

#include "engine/tls/aead.hpp"

namespace {

std::atomic<long> allocations = 0;

}  // namespace

extern "C" {
void* __real_malloc(std::size_t size);
void* __wrap_malloc(std::size_t size);
void* __wrap_malloc(std::size_t size) {
  ++allocations;
  return __real_malloc(size);
}

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

using engine::tls::AeadAlgorithm;
using engine::tls::AeadLibrary;

constexpr AeadAlgorithm kAlgorithms[] = {AeadAlgorithm::aes_128_gcm, AeadAlgorithm::aes_256_gcm,
                                         AeadAlgorithm::chacha20_poly1305};

TEST_CASE("record.aead allocates nothing to seal, to open and to refuse") {
  for (const auto library : {AeadLibrary::ipsec_mb, AeadLibrary::mbedtls}) {
    for (const auto algorithm : kAlgorithms) {
      if (!aead_is_usable(library)) {
        continue;
      }
      const std::vector<std::byte> key(aead_key_bytes(algorithm), std::byte{7});
      const std::vector<std::byte> text(10000, std::byte{1});
      const std::array parts = {std::span(text).first(100), std::span(text).subspan(100, 9899),
                                std::span(text).last(1)};
      std::vector<std::byte> sealed(text.size() + engine::tls::kAeadTagBytes);
      std::vector<std::byte> opened(text.size());
      const long before_making = allocations;
      const auto aead = make_aead(library, algorithm, key);
      REQUIRE(aead != nullptr);
      CHECK(allocations > before_making);  // it counts

      const long before = allocations;
      aead->seal({}, {}, parts, sealed);
      const bool opens = aead->open({}, {}, sealed, opened);
      sealed.back() ^= std::byte{1};
      const bool opens_forged = aead->open({}, {}, sealed, opened);
      CHECK(allocations == before);
      CHECK(opens);
      CHECK_FALSE(opens_forged);

      aead->set_key(key);
      const bool keeps_keys_in_heap = library == AeadLibrary::mbedtls && algorithm != AeadAlgorithm::chacha20_poly1305;
      CHECK(allocations == before + (keeps_keys_in_heap ? 1 : 0));
    }
  }
}

}  // namespace
}  // namespace tlsmux::test
