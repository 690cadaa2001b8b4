#include "engine/mux/address.hpp"

#include <doctest/doctest.h>

#include <unordered_set>

#include "engine/mux/ids.hpp"

using namespace tlsmux;
using engine::mux::Address;
using engine::mux::AddressFamily;
using engine::mux::parse_literal;
using engine::mux::SessionId;

TEST_CASE("engine.literal addresses are read and written") {
  struct Literal {
    const char* host;
    const char* text;
  };
  const Literal literals[] = {{"127.0.0.1", "127.0.0.1:9001"},
                              {"0.0.0.0", "0.0.0.0:9001"},
                              {"255.255.255.255", "255.255.255.255:9001"},
                              {"::1", "[::1]:9001"},
                              {"::", "[::]:9001"},
                              {"2001:DB8:0:0:0:0:0:1", "[2001:db8::1]:9001"},
                              {"::ffff:192.0.2.1", "[::ffff:192.0.2.1]:9001"},
                              {"fe80::1", "[fe80::1]:9001"}};
  for (const auto& [host, text] : literals) {
    CAPTURE(host);
    const auto address = parse_literal(host, 9001);
    REQUIRE(address.has_value());
    CHECK(address->text() == text);
  }
}

TEST_CASE("engine.literal addresses are plain bytes in network order") {
  const auto ipv4 = parse_literal("192.0.2.33", 443);
  REQUIRE(ipv4.has_value());
  CHECK(ipv4->family == AddressFamily::ipv4);
  CHECK(ipv4->port == 443);
  CHECK(ipv4->bytes == std::array<std::byte, 16>{std::byte{192}, std::byte{0}, std::byte{2}, std::byte{33}});
  const auto ipv6 = parse_literal("2001:db8::7", 443);
  REQUIRE(ipv6.has_value());
  CHECK(ipv6->family == AddressFamily::ipv6);
  CHECK(ipv6->bytes[0] == std::byte{0x20});
  CHECK(ipv6->bytes[3] == std::byte{0xb8});
  CHECK(ipv6->bytes[15] == std::byte{7});
  CHECK(*ipv4 != *ipv6);
}

TEST_CASE("engine.names are not taken for literal addresses") {
  for (const std::string host : {"", "localhost", "127.0.0.256", "127.0.0", "1", "0x7f.0.0.1", "127.0.0.1 ",
                                 " 127.0.0.1", "[::1]", "::1::", "fe80::1%eth0", "1:2:3:4:5:6:7:8:9", "host.example"}) {
    CAPTURE(host);
    CHECK(!parse_literal(host, 9001).has_value());
  }
  CHECK(!parse_literal(std::string_view("127.0.0.1\0.example", 18), 9001).has_value());
  CHECK(!parse_literal(std::string(300, '1'), 9001).has_value());
}

TEST_CASE("engine.session ids compare and hash by place and generation") {
  const SessionId id{.index = 1, .generation = 2};
  CHECK(id == SessionId{1, 2});
  CHECK(id != SessionId{1, 3});
  CHECK(id != SessionId{2, 1});
  CHECK(id < SessionId{2, 0});
  const std::unordered_set<SessionId> ids{{0, 0}, {0, 1}, {1, 0}, {0, 1}};
  CHECK(ids.size() == 3);
  CHECK(ids.contains({1, 0}));
  CHECK(!ids.contains({1, 1}));
}
