// Random connections, always the same ones: exchanges that are true, some bent. The fuzz target searches further.
#include <doctest/doctest.h>

#include <array>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/message/boundary_check.hpp"

using namespace tlsmux;

namespace {

constexpr std::array<std::string_view, 24> kParts{
    "GET / HTTP/1.1\r\n",
    "HEAD / HTTP/1.1\r\n",
    "POST / HTTP/1.1\r\n",
    "GET / HTTP/1.0\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.0 200 OK\r\n",
    "Host: a\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: keep-alive\r\n",
    "Connection: close\r\n",
    "Keep-Alive: timeout=5\r\n",
    "A: b\r\n c\r\n",
    "\r\n",
    "\r\n",
    "abc",
    "3\r\nabc\r\n",
    "0\r\n\r\n",
    "0\r\nA: b\r\n\r\n",
    "\x01",
    "\x01",
};

constexpr std::array<std::string_view, 8> kExchanges{
    "GET / HTTP/1.1\r\n\r\n\x01HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc\x01",
    "HEAD / HTTP/1.1\r\n\r\n\x01HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\x01",
    "PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\n\x01HTTP/1.1 100 Continue\r\n\r\n\x01"
    "abc\x01HTTP/1.1 204 N\r\n\r\n\x01",
    "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\x01HTTP/1.1 304 N\r\n\r\n\x01",
    "GET / HTTP/1.1\r\n\r\n\x01HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na;b=c\r\n0123456789\r\n0\r\nA: "
    "b\r\n\r\n"
    "\x01",
    "GET / HTTP/1.1\r\n\r\nHEAD / HTTP/1.1\r\n\r\n\x01HTTP/1.1 204 N\r\n\r\nHTTP/1.1 200 OK\r\nKeep-Alive: "
    "timeout=9\r\n\r\n\x01",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\x01HTTP/1.0 204 N\r\nConnection: keep-alive\r\n\r\n\x01",
    "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\x01HTTP/1.1 400 B\r\nContent-Length: 0\r\n\r\n\x01",
};

std::vector<std::uint8_t> seeded(std::mt19937_64& random, std::uint8_t framing) {
  std::vector<std::uint8_t> data(9);
  for (auto& byte : data) byte = static_cast<std::uint8_t>(random());
  data[0] = framing;
  return data;
}

void append(std::vector<std::uint8_t>& data, std::string_view text) {
  data.insert(data.end(), text.begin(), text.end());
}

void check(std::span<const std::uint8_t> data) {
  const auto difference = test::check_boundary_case(data);
  if (!difference.empty()) FAIL(difference);
}

}  // namespace

TEST_CASE("stream.random parts of HTTP in random pieces have one boundary") {
  for (std::uint64_t seed = 1; seed <= 20'000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    auto data = seeded(random, 0);
    for (auto left = random() % 14; left > 0; --left) append(data, kParts[random() % kParts.size()]);
    check(data);
  }
}

TEST_CASE("stream.random exchanges of HTTP with a bent byte in random pieces have one boundary") {
  for (std::uint64_t seed = 1; seed <= 20'000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    auto data = seeded(random, 0);
    for (auto left = 1 + random() % 4; left > 0; --left) append(data, kExchanges[random() % kExchanges.size()]);
    const std::size_t at = 9 + random() % (data.size() - 9);
    switch (random() % 4) {
      case 0: data[at] = static_cast<std::uint8_t>(random()); break;
      case 1: data.erase(data.begin() + static_cast<std::ptrdiff_t>(at)); break;
      case 2:
        data.insert(data.begin() + static_cast<std::ptrdiff_t>(at),
                    static_cast<std::uint8_t>("\r\n 0,:\x01"[random() % 8]));
        break;
      default: break;
    }
    check(data);
  }
}

TEST_CASE("stream.random frames in random pieces have one boundary") {
  for (std::uint64_t seed = 1; seed <= 5'000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    auto data = seeded(random, static_cast<std::uint8_t>(0xc1 + random() % 3));
    constexpr std::array<std::string_view, 6> kFrames{std::string_view("\0\3abc", 5),
                                                      std::string_view("\0\0", 2),
                                                      "abc\r\n",
                                                      "\x01",
                                                      std::string_view("\xd0\x4a\0\2\0\0ab", 8),
                                                      std::string_view("\xd0\x4a\0\2\1\0ab", 8)};
    for (auto left = random() % 12; left > 0; --left) append(data, kFrames[random() % kFrames.size()]);
    if (random() % 2 == 0) data.resize(std::max<std::size_t>(9, data.size() - random() % 4));
    check(data);
  }
}
