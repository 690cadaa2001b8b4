#include "engine/tls/handshake_message.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <vector>

namespace tlsmux::engine::tls {
namespace {

std::vector<std::uint8_t> server_hello(const std::vector<std::uint8_t>& extensions) {
  std::vector<std::uint8_t> message = {2, 0, 0, 0, 3, 3};
  message.resize(message.size() + 32, 0xEE);       // random
  message.insert(message.end(), {4, 1, 2, 3, 4});  // session identifier
  message.insert(message.end(), {0xC0, 0x2B, 0});  // suite, compression
  message.insert(message.end(), {0, static_cast<std::uint8_t>(extensions.size())});
  message.insert(message.end(), extensions.begin(), extensions.end());
  return message;
}

TEST_CASE("tls.server hello is searched for an extension") {
  CHECK(server_hello_has_extension(server_hello({0, 23, 0, 0}), kExtendedMasterSecret));
  CHECK(server_hello_has_extension(server_hello({0xFF, 1, 0, 1, 0, 0, 23, 0, 0}), kExtendedMasterSecret));
  CHECK_FALSE(server_hello_has_extension(server_hello({0xFF, 1, 0, 1, 0}), kExtendedMasterSecret));
  CHECK_FALSE(server_hello_has_extension(server_hello({}), kExtendedMasterSecret));
  // 23 in the content of another extension is none.
  CHECK_FALSE(server_hello_has_extension(server_hello({0, 35, 0, 4, 0, 23, 0, 0}), kExtendedMasterSecret));
}

TEST_CASE("tls.server hello cut anywhere is no error and has no extension") {
  const auto whole = server_hello({0xFF, 1, 0, 1, 0, 0, 23, 0, 0});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK_FALSE(server_hello_has_extension(std::span(whole).first(size), kExtendedMasterSecret));
  }
  auto other = whole;
  other[0] = 1;
  CHECK_FALSE(server_hello_has_extension(other, kExtendedMasterSecret));
}

TEST_CASE("tls.server key exchange tells whether it is signed with PSS") {
  const auto message = [](std::uint8_t high, std::uint8_t low) {
    std::vector<std::uint8_t> bytes = {12, 0, 0, 0, 3, 0, 29, 2, 0xAA, 0xBB, high, low, 0, 0};
    return bytes;
  };
  CHECK(is_key_exchange_signed_with_pss(message(8, 4)));
  CHECK(is_key_exchange_signed_with_pss(message(8, 6)));
  CHECK_FALSE(is_key_exchange_signed_with_pss(message(4, 1)));
  CHECK_FALSE(is_key_exchange_signed_with_pss(message(8, 7)));
  const auto whole = message(8, 4);
  for (std::size_t size = 0; size < 12; ++size) {
    CHECK_FALSE(is_key_exchange_signed_with_pss(std::span(whole).first(size)));
  }
}

}  // namespace
}  // namespace tlsmux::engine::tls
