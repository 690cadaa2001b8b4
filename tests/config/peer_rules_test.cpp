// Which connections a rule of ssl_wrapper is about.
#include "config/peer_rules.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "config/limits.hpp"

namespace tlsmux::config::test {
namespace {

// As a program's connect() has it.
PeerAddressBytes address_of(const std::string& text) {
  PeerAddressBytes address{};
  if (inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
  address[10] = address[11] = 0xff;
  REQUIRE(inet_pton(AF_INET, text.c_str(), &address[12]) == 1);
  return address;
}

TEST_CASE("config.ranges of addresses contain those with their prefix, of their own family") {
  struct Row {
    std::string range;
    std::vector<std::string> inside;
    std::vector<std::string> outside;
  };
  for (const Row& row : std::vector<Row>{
           {"192.0.2.7", {"192.0.2.7", "::ffff:192.0.2.7"}, {"192.0.2.6", "192.0.2.8", "::192.0.2.7"}},
           {"192.0.2.0/24", {"192.0.2.0", "192.0.2.255"}, {"192.0.1.255", "192.0.3.0"}},
           {"192.0.2.128/25", {"192.0.2.128", "192.0.2.255"}, {"192.0.2.127"}},
           {"192.0.2.1/32", {"192.0.2.1"}, {"192.0.2.0"}},
           {"0.0.0.0/0", {"0.0.0.0", "255.255.255.255"}, {"::", "2001:db8::1"}},
           {"2001:db8::/32", {"2001:db8::", "2001:db8:ffff::1"}, {"2001:db9::", "192.0.2.1"}},
           {"2001:db8::1", {"2001:db8::1"}, {"2001:db8::2"}},
           {"::/0", {"::1", "ffff::"}, {"192.0.2.1", "0.0.0.0"}},
       }) {
    CAPTURE(row.range);
    const auto range = parse_address_range(row.range);
    REQUIRE_MESSAGE(range.has_value(), range.error());
    for (const auto& address : row.inside) CHECK_MESSAGE(contains(*range, address_of(address)), address);
    for (const auto& address : row.outside) CHECK_MESSAGE(!contains(*range, address_of(address)), address);
  }
}

TEST_CASE("config.ranges of addresses that are wrong") {
  struct Bad {
    std::string text;
    std::string why;
  };
  const std::string must_be =
      "must be an IPv4 or IPv6 address, or one with the length of its prefix, such as \"192.0.2.0/24\", is ";
  for (const Bad& bad : std::vector<Bad>{
           {"", must_be + "\"\""},
           {"host.example", must_be + "\"host.example\""},
           {"192.0.2", must_be + "\"192.0.2\""},
           {"192.0.2.0:443", must_be + "\"192.0.2.0:443\""},
           {"[::1]", must_be + "\"[::1]\""},
           {"fe80::1%eth0", must_be + "\"fe80::1%eth0\""},
           {"/24", must_be + "\"/24\""},
           {"192.0.2.0/33", "must have a prefix length between 0 and 32, is \"192.0.2.0/33\""},
           {"192.0.2.0/", "must have a prefix length between 0 and 32, is \"192.0.2.0/\""},
           {"192.0.2.0/024", "must have a prefix length between 0 and 32, is \"192.0.2.0/024\""},
           {"192.0.2.0/24/8", "must have a prefix length between 0 and 32, is \"192.0.2.0/24/8\""},
           {"192.0.2.0/-1", "must have a prefix length between 0 and 32, is \"192.0.2.0/-1\""},
           {"2001:db8::/129", "must have a prefix length between 0 and 128, is \"2001:db8::/129\""},
           {"192.0.2.1/24", "has bits behind its prefix, is \"192.0.2.1/24\"; did you mean \"192.0.2.0/24\"?"},
           {"2001:db8::1/32", "has bits behind its prefix, is \"2001:db8::1/32\"; did you mean \"2001:db8::/32\"?"},
           {"::ffff:192.0.2.1", "is the IPv4 address \"192.0.2.1\" in the form of IPv6; write that one"},
       }) {
    CAPTURE(bad.text);
    const auto range = parse_address_range(bad.text);
    REQUIRE(!range.has_value());
    CHECK(range.error() == bad.why);
  }
}

TEST_CASE("config.names of rules fit one server name, or all below one") {
  struct Row {
    std::string pattern;
    std::vector<std::string> fitting;
    std::vector<std::string> others;
  };
  for (const Row& row : std::vector<Row>{
           {"host.example", {"host.example", "HOST.Example", "host.example."}, {"a.host.example", "host.exampl", ""}},
           {"*.bank.example",
            {"a.bank.example", "a.b.bank.example", "A.BANK.EXAMPLE", "a.bank.example."},
            {"bank.example", ".bank.example", "abank.example", "a.bank.example.org", ""}},
       }) {
    CAPTURE(row.pattern);
    CHECK(!name_pattern_problem(row.pattern).has_value());
    for (const auto& name : row.fitting) CHECK_MESSAGE(name_fits(row.pattern, name), name);
    for (const auto& name : row.others) CHECK_MESSAGE(!name_fits(row.pattern, name), name);
  }
}

TEST_CASE("config.names of rules that are wrong") {
  struct Bad {
    std::string text;
    std::string why;
  };
  const std::string must_be =
      "must be a server name such as \"host.example\", or \"*.bank.example\" for all below it, is ";
  const std::string star = "may hold \"*\" in the place of the first labels only, as in \"*.bank.example\", is ";
  const std::string address =
      ", but an address is never sent as a server name (RFC 6066 section 3); give it as "
      "\"address\"";
  const std::string label(kHostLabelBytesMax, 'a');
  const std::string longest = label + "." + label + "." + label + "." + label.substr(0, 61);
  CHECK(!name_pattern_problem(longest).has_value());
  for (const Bad& bad : std::vector<Bad>{
           {"*", star + "\"*\""},
           {"*.", must_be + "\"*.\""},
           {"*bank.example", star + "\"*bank.example\""},
           {"host.*", star + "\"host.*\""},
           {"*.*.example", star + "\"*.*.example\""},
           {"host..example", must_be + "\"host..example\""},
           {".example", must_be + "\".example\""},
           {"host.example.", must_be + "\"host.example.\""},
           {"host:443", must_be + "\"host:443\""},
           {"a b", must_be + "\"a b\""},
           {label + "a.example", must_be + "\"" + label + "a.example\""},
           {longest + "a", "must be at most 253 bytes long, is 254"},
           {"192.0.2.1", "is \"192.0.2.1\"" + address},
           {"::1", "is \"::1\"" + address},
       }) {
    CAPTURE(bad.text);
    CHECK(name_pattern_problem(bad.text).value_or("none") == bad.why);
  }
}

SslWrapperRule by_address(const std::string& address, std::uint16_t port = 443) {
  return {.address = address, .name = {}, .port = port, .upstream = "a"};
}

SslWrapperRule by_name(const std::string& name, std::uint16_t port = 443) {
  return {.address = {}, .name = name, .port = port, .upstream = "a"};
}

TEST_CASE("config.the first rule that fits counts") {
  const SslWrapperSettings wrapper{.rules = {by_name("*.bank.example", 5000), by_address("192.0.2.0/28"),
                                             by_name("*.bank.example"), by_address("0.0.0.0/0"),
                                             by_name("a.bank.example")}};
  const auto by = [&](const std::string& address, std::uint16_t port) {
    return rule_for_address(wrapper, address_of(address), port);
  };
  CHECK(by("192.0.2.1", 443) == &wrapper.rules[1]);
  CHECK(by("192.0.2.16", 443) == &wrapper.rules[3]);
  CHECK(by("192.0.2.1", 444) == nullptr);
  CHECK(by("2001:db8::1", 443) == nullptr);
  CHECK(rule_for_name(wrapper, "a.bank.example", 443) == &wrapper.rules[2]);
  CHECK(rule_for_name(wrapper, "a.bank.example", 5000) == wrapper.rules.data());
  CHECK(rule_for_name(wrapper, "bank.example", 443) == nullptr);
}

TEST_CASE("config.a rule covers those that it leaves nothing to") {
  const auto leaves_nothing = [](const SslWrapperRule& earlier, const SslWrapperRule& rule) {
    return covers(earlier, rule);
  };
  CHECK(leaves_nothing(by_address("192.0.2.0/24"), by_address("192.0.2.0/24")));
  CHECK(leaves_nothing(by_address("192.0.2.0/24"), by_address("192.0.2.128/25")));
  CHECK(leaves_nothing(by_address("0.0.0.0/0"), by_address("192.0.2.1")));
  CHECK(leaves_nothing(by_name("*.example"), by_name("a.example")));
  CHECK(leaves_nothing(by_name("*.example"), by_name("*.bank.example")));
  CHECK(leaves_nothing(by_name("a.example"), by_name("A.Example")));
  CHECK(!leaves_nothing(by_address("192.0.2.128/25"), by_address("192.0.2.0/24")));
  CHECK(!leaves_nothing(by_address("::/0"), by_address("192.0.2.1")));
  CHECK(!leaves_nothing(by_address("192.0.2.0/24", 444), by_address("192.0.2.1")));
  CHECK(!leaves_nothing(by_address("0.0.0.0/0"), by_name("a.example")));
  CHECK(!leaves_nothing(by_name("*.example"), by_address("192.0.2.1")));
  CHECK(!leaves_nothing(by_name("*.bank.example"), by_name("*.example")));
  CHECK(!leaves_nothing(by_name("*.bank.example"), by_name("bank.example")));
  CHECK(!leaves_nothing(by_name("a.example"), by_name("*.example")));
  CHECK(!leaves_nothing(by_address("x"), by_address("x")));
  CHECK(!leaves_nothing(SslWrapperRule{}, SslWrapperRule{}));
}

}  // namespace
}  // namespace tlsmux::config::test
