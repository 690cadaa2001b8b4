// Files in the form of /etc/services: what they may hold, what is wrong with them, and that they come back as they went.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "config/check/config_check.hpp"
#include "config/config_json.hpp"
#include "config/settings_tree.hpp"
#include "ports/services/services_file.hpp"
#include "tests/support/seed.hpp"

namespace tlsmux::ports::test {
namespace {

using config::GroupSettings;
using enum config::PortProtocols;

constexpr std::string_view kExample = R"(# What the network department gave us.
Service EBANKING
User pay batch
Group payments           # operators
Static 1414 TCP mqlisten
static 53 tcp , udp dns "named 9"
Dynamic [1000-3000] TCP,UDP
DYNAMIC [ 7000 - 7099 ] tcp

mqtest	1415/udp

SERVICE "BATCH"
User "DOMAIN\\night shift"
User 2000
)";

std::string errors_of(std::string_view text) {
  const auto groups = parse_services(text);
  return groups ? "" : config::format_errors("FILE", groups.error());
}

std::vector<config::SettingsNode> trees(const std::vector<GroupSettings>& groups) {
  std::vector<config::SettingsNode> result;
  for (const GroupSettings& group : groups) result.push_back(config::settings_tree(group));
  return result;
}

// The groups as a configuration reads them.
std::vector<GroupSettings> read_json(const std::string& groups) {
  const auto partial = config::parse_partially("{\"groups\": " + groups + "}");
  REQUIRE(partial.has_value());
  for (const auto& error : partial->errors) {
    CHECK_MESSAGE(error.pointer == "/upstreams", error.pointer << ": " << error.message);
  }
  return partial->config.groups;
}

TEST_CASE("ports.a services file gives groups") {
  const auto groups = parse_services(kExample);
  REQUIRE_MESSAGE(groups.has_value(), errors_of(kExample));
  REQUIRE(groups->size() == 2);
  const GroupSettings& first = groups->front();
  CHECK(first.name == "EBANKING");
  CHECK(first.users == std::vector<std::string>{"pay", "batch"});
  CHECK(first.unix_groups == std::vector<std::string>{"payments"});
  REQUIRE(first.ports.static_ports.size() == 3);
  CHECK(first.ports.static_ports[0].port == 1414);
  CHECK(first.ports.static_ports[0].protocol == tcp);
  CHECK(first.ports.static_ports[0].label == "mqlisten");
  CHECK(first.ports.static_ports[1].protocol == both);
  CHECK(first.ports.static_ports[1].program == "named 9");
  CHECK(first.ports.static_ports[2].port == 1415);
  CHECK(first.ports.static_ports[2].protocol == udp);
  CHECK(first.ports.static_ports[2].label == "mqtest");
  REQUIRE(first.ports.dynamic.size() == 2);
  CHECK(first.ports.dynamic[0].from == 1000);
  CHECK(first.ports.dynamic[0].to == 3000);
  CHECK(first.ports.dynamic[0].protocols == both);
  CHECK(first.ports.dynamic[1].protocols == tcp);
  CHECK(groups->back().name == "BATCH");
  CHECK(groups->back().users == std::vector<std::string>{"DOMAIN\\night shift", "2000"});
}

TEST_CASE("ports.a services file is written in the disclosure's form") {
  CHECK(format_services(parse_services(kExample).value()) ==
        "Service EBANKING\n"
        "User pay batch\n"
        "Group payments\n"
        "Static 1414 TCP mqlisten\n"
        "Static 53 TCP,UDP dns \"named 9\"\n"
        "Static 1415 UDP mqtest\n"
        "Dynamic [1000-3000] TCP,UDP\n"
        "Dynamic [7000-7099] TCP\n"
        "\n"
        "Service BATCH\n"
        "User \"DOMAIN\\\\night shift\" 2000\n");
}

TEST_CASE("ports.an imported services file is JSON as people write it") {
  CHECK(groups_json(parse_services("Service A\nUser u\nStatic 1 TCP a p\nb 2/udp\nDynamic [3-4] UDP\n").value()) ==
        R"([
  {
    "name": "A",
    "users": ["u"],
    "ports": {
      "static": [
        { "port": 1, "protocol": "tcp", "label": "a", "program": "p" },
        { "port": 2, "protocol": "udp", "label": "b" }
      ],
      "dynamic": [
        { "from": 3, "to": 4, "protocols": "udp" }
      ]
    }
  }
]
)");
  const auto groups = parse_services(kExample).value();
  CHECK(trees(read_json(groups_json(groups))) == trees(groups));
}

TEST_CASE("ports.a line whose second word is a port and protocol is one of etc services") {
  const auto groups = parse_services("Service A\nUser \"80/tcp\"\nuser 80/tcp\nservice\t81/TCP # web\ngroup 82/udp\n");
  REQUIRE(groups.has_value());
  CHECK(groups->size() == 1);
  CHECK(groups->front().users == std::vector<std::string>{"80/tcp"});
  CHECK(groups->front().unix_groups.empty());
  REQUIRE(groups->front().ports.static_ports.size() == 3);
  CHECK(groups->front().ports.static_ports[1].label == "service");
}

struct Wrong {
  std::string_view text;
  std::string_view errors;
};

const std::vector<Wrong> kWrong = {
    {"", "FILE:1:1: there is no Service in this file; begin with: Service NAME\n"},
    {"# nothing\n", "FILE:1:1: there is no Service in this file; begin with: Service NAME\n"},
    {"User pay\n", "FILE:1:1: no Service line comes before this; begin with: Service NAME\n"},
    {"http 80/tcp\n", "FILE:1:1: no Service line comes before this; begin with: Service NAME\n"},
    {"Service\n", "FILE:1:8: the service's name is missing\n"},
    {"Service # A\n", "FILE:1:9: the service's name is missing\n"},
    {"Service \"\"\n", "FILE:1:9: the service's name is missing: this is empty\n"},
    {"Service a/b\n",
     "FILE:1:9: the service's name must be a name of 1 to 63 letters, digits, \"_\", \".\" and \"-\", is \"a/b\"\n"},
    {"Service A B\n", "FILE:1:11: the line should end here; remove the rest, or put # before it\n"},
    {"Service A\n", "FILE:1:1: service \"A\" has no members; add a line such as: User NAME\n"},
    {"Service A\nUser\n", "FILE:2:5: a user is missing\n"},
    {"Service A\nUser u\nGroup \"\x01\"\n",
     "FILE:3:7: a Unix group must not hold control characters, is \"\\u0001\"\n"},
    {"Service A\nUser \xc3\xa4\n", "FILE:2:6: a user must be ASCII, is \"\xc3\xa4\"; give its number\n"},
    {"Service A\nUser \"u\n", "FILE:2:6: the quotation mark at the end is missing\n"},
    {"Service A\nUser \"\\u\"\n",
     "FILE:2:7: within quotation marks, a backslash stands before a quotation mark or another backslash only\n"},
    {"Service A\nUser u\nSttic 1 TCP a\n",
     "FILE:3:1: \"Sttic\" begins no statement; did you mean \"Static\"? Or is it a label? Then PORT/PROTOCOL must "
     "follow\n"},
    {"Service A\nUser u\nStatic\n", "FILE:3:7: a port's number is missing\n"},
    {"Service A\nUser u\nStatic x TCP a\n", "FILE:3:8: a port must be a whole number between 1 and 65535, is \"x\"\n"},
    {"Service A\nUser u\nStatic 0 TCP a\n", "FILE:3:8: a port must be a whole number between 1 and 65535, is \"0\"\n"},
    {"Service A\nUser u\nStatic 65536 TCP a\n",
     "FILE:3:8: a port must be a whole number between 1 and 65535, is \"65536\"\n"},
    {"Service A\nUser u\nStatic 99999999999999999999 TCP a\n",
     "FILE:3:8: a port must be a whole number between 1 and 65535, is \"99999999999999999999\"\n"},
    {"Service A\nUser u\nStatic 1x TCP a\n",
     "FILE:3:8: a port must be a whole number between 1 and 65535, is \"1x\"\n"},
    {"Service A\nUser u\nStatic 1\n", "FILE:3:9: the protocol is missing; give TCP, UDP or TCP,UDP\n"},
    {"Service A\nUser u\nStatic 1 SCTP a\n", "FILE:3:10: \"SCTP\" is no protocol; give TCP, UDP or TCP,UDP\n"},
    {"Service A\nUser u\nStatic 1 TCP, a\n", "FILE:3:15: \"a\" is no protocol; give TCP, UDP or TCP,UDP\n"},
    {"Service A\nUser u\nStatic 1 TCP\n", "FILE:3:13: the label is missing\n"},
    {"Service A\nUser u\nStatic 1 TCP a:b\n",
     "FILE:3:14: the label must be a label of 1 to 63 letters, digits, \"_\", \".\", \"+\" and \"-\", is \"a:b\"\n"},
    {"Service A\nUser u\nStatic 1 TCP a /bin/sh\n",
     "FILE:3:16: the program must be a program's name as in /proc/PID/comm: at most 15 printable ASCII characters, no "
     "slash or quotation mark, is \"/bin/sh\"\n"},
    {"Service A\nUser u\nStatic 1 TCP a p q\n",
     "FILE:3:18: the line should end here; remove the rest, or put # before it\n"},
    {"Service A\nUser u\nhttp 80/tcp www\n", "FILE:3:13: a port has one label here; remove its aliases\n"},
    {"Service A\nUser u\nhttp 80/sctp\n", "FILE:3:9: \"sctp\" is no protocol; give TCP, UDP or TCP,UDP\n"},
    {"Service A\nUser u\nhttp 80/tcp,udp\n", "FILE:3:12: a port has one label here; remove its aliases\n"},
    {"Service A\nUser u\nDynamic 1000-3000 TCP\n", "FILE:3:9: a range is missing; write it as in [1000-3000]\n"},
    {"Service A\nUser u\nDynamic [1000] TCP\n", "FILE:3:9: a range is missing; write it as in [1000-3000]\n"},
    {"Service A\nUser u\nDynamic [1000-3000 TCP\n", "FILE:3:9: a range is missing; write it as in [1000-3000]\n"},
    {"Service A\nUser u\nDynamic [1000-\n", "FILE:3:15: a port's number is missing\n"},
    {"Service A\nUser u\nDynamic [3000-1000] TCP\n",
     "FILE:3:9: the range begins at 3000, behind its end, 1000; put the lower port first\n"},
    {"Service A\nUser u\nDynamic [1000-3000]\n", "FILE:3:20: the protocol is missing; give TCP, UDP or TCP,UDP\n"},
    // Each line for itself.
    {"Service A\nUser\nStatic x\n",
     "FILE:2:5: a user is missing\nFILE:3:8: a port must be a whole number between 1 and 65535, is \"x\"\n"},
    // The rules of the configuration, by lines.
    {"Service A\nUser u\nDynamic [1000-3000] TCP\n\nService B\nUser v\n  Static 1414 TCP x\n",
     "FILE:7:3: port 1414 (TCP) is group \"A\"'s already, by line 3; give each port to one group\n"},
    {"Service A\nUser u\na 1/tcp\na 2/tcp\n",
     "FILE:4:1: \"a\" is the label of another TCP port, at line 3; each needs its own\n"},
    {"Service A\nUser u\nService A\nUser u\n", "FILE:3:9: \"A\" is the name at line 1 already; each needs its own\n"},
    {"Service A\nUser u\nDynamic [1-20000] TCP,UDP\n",
     "FILE:1:1: the group has 40000 ports, those of TCP and of UDP counted together; the most is 32768; narrow its "
     "ranges, or give them one protocol\n"},
};

TEST_CASE("ports.each fault of a services file has its line and column") {
  for (const Wrong& wrong : kWrong) {
    CAPTURE(wrong.text);
    CHECK(errors_of(wrong.text) == wrong.errors);
  }
}

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {}

  // Groups that go together.
  std::vector<GroupSettings> groups() {
    std::vector<GroupSettings> result(1 + below(4));
    std::uint32_t port = 1 + below(100);
    for (GroupSettings& group : result) {
      group.name = "G" + std::to_string(&group - result.data()) + word("abcXYZ_.-019", 20);
      group.users = accounts();
      group.unix_groups = accounts();
      if (group.users.empty() && group.unix_groups.empty()) group.users = {"0"};
      for (std::uint32_t entries = below(6); entries > 0 && port < 40'000; --entries) {
        if (below(2) == 0) {
          group.ports.static_ports.push_back({.port = static_cast<std::uint16_t>(port),
                                              .protocol = protocols(),
                                              .label = "l" + std::to_string(port) + word("abc+_.-X0", 20),
                                              .program = word("ab c#.-$'\t", 12)});
          std::erase(group.ports.static_ports.back().program, '\t');
          port += 1 + below(3);
        } else {
          const std::uint32_t to = port + below(2000);
          group.ports.dynamic.push_back({.from = static_cast<std::uint16_t>(port),
                                         .to = static_cast<std::uint16_t>(to),
                                         .protocols = protocols()});
          port = to + 1 + below(2);
        }
      }
    }
    return result;
  }

  std::uint32_t below(std::uint32_t count) {
    return std::uniform_int_distribution<std::uint32_t>(0, count - 1)(random_);
  }

  std::string word(std::string_view characters, std::uint32_t length_max) {
    std::string result;
    for (std::uint32_t i = below(length_max + 1); i > 0; --i) {
      result += characters[below(static_cast<std::uint32_t>(characters.size()))];
    }
    return result;
  }

 private:
  config::PortProtocols protocols() { return static_cast<config::PortProtocols>(below(3)); }

  std::vector<std::string> accounts() {
    std::vector<std::string> result(below(4));
    for (std::string& account : result) account = "u" + word("abc019 #\"\\/$%.-tcpudp", 12);
    return result;
  }

  std::mt19937_64 random_;
};

TEST_CASE("ports.groups come back from a services file as they went") {
  Maker maker(tlsmux::test::seed());
  for (int i = 0; i < 500; ++i) {
    const auto groups = maker.groups();
    const std::string text = format_services(groups);
    CAPTURE(text);
    REQUIRE(errors_of(text) == "");
    const auto back = parse_services(text).value();
    REQUIRE(trees(back) == trees(groups));
    REQUIRE(format_services(back) == text);
    REQUIRE(trees(read_json(groups_json(groups))) == trees(groups));
  }
}

TEST_CASE("ports.a damaged services file gives errors or groups that go together") {
  Maker maker(tlsmux::test::seed());
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string text = format_services(maker.groups());
    for (std::uint32_t damages = 1 + maker.below(3); damages > 0; --damages) {
      const std::uint32_t at = maker.below(static_cast<std::uint32_t>(text.size()));
      text[at] = "\"\\#[]-,/ \n\tA1\x80\x01"[maker.below(15)];
    }
    const auto groups = parse_services(text);
    if (groups) {
      CHECK(trees(parse_services(format_services(*groups)).value()) == trees(*groups));
      continue;
    }
    ++refused;
    const auto lines = static_cast<std::uint32_t>(std::ranges::count(text, '\n')) + 1;
    for (const auto& error : groups.error()) {
      CHECK(error.line >= 1);
      CHECK(error.line <= lines);
      CHECK(error.column >= 1);
      CHECK(!error.message.empty());
    }
  }
  CHECK(refused > 100);
}

}  // namespace
}  // namespace tlsmux::ports::test
