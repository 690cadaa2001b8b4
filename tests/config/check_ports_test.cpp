// The rules about ports, within a group, between groups, and against the kernel's settings.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "config/check/check_machine_ports.hpp"
#include "config/check/check_ports.hpp"
#include "config/check/config_check.hpp"
#include "config/limits.hpp"
#include "tests/config/config_text.hpp"
#include "tests/support/temporary_folder.hpp"

namespace tlsmux::config::test {
namespace {

using enum PortProtocols;

// EBANKING with a range and a static port in it, POS with one port.
Config good() {
  Config config = parsed(good_json());
  config.groups[0].ports.dynamic = {{.from = 1000, .to = 3000}, {.from = 4000, .to = 4009, .protocols = tcp}};
  config.groups[0].ports.static_ports = {{.port = 1414, .label = "mqlisten", .program = {}},
                                         {.port = 53, .protocol = both, .label = "dns", .program = {}}};
  config.groups[1].ports.static_ports = {{.port = 4000, .protocol = udp, .label = "mqlisten", .program = {}}};
  return config;
}

PortSettings& first(Config& config) { return config.groups[0].ports; }
PortSettings& second(Config& config) { return config.groups[1].ports; }

struct Broken {
  std::function<void(Config&)> change;
  std::string error;  // POINTER: message
};

const std::vector<Broken> kBroken = {
    {[](Config& config) { first(config).dynamic[1] = {.from = 4009, .to = 4000, .protocols = tcp}; },
     "/groups/0/ports/dynamic/1/from: is 4009, more than \"to\", which is 4000"},
    // Between groups.
    {[](Config& config) { second(config).dynamic = {{.from = 2900, .to = 3100}}; },
     "/groups/1/ports/dynamic/0: port 2900 (TCP) is group \"EBANKING\"'s already, by /groups/0/ports/dynamic/0; give "
     "each port to one group"},
    {[](Config& config) {
       second(config).dynamic = {{.from = 3001, .to = 3999, .protocols = udp}};
       first(config).dynamic.push_back({.from = 3500, .to = 3500, .protocols = udp});
     },
     "/groups/1/ports/dynamic/0: port 3500 (UDP) is group \"EBANKING\"'s already, by /groups/0/ports/dynamic/2; give "
     "each port to one group"},
    {[](Config& config) { second(config).dynamic = {{.from = 50, .to = 60, .protocols = udp}}; },
     "/groups/1/ports/dynamic/0: port 53 (UDP) is group \"EBANKING\"'s already, by /groups/0/ports/static/1; give each "
     "port to one group"},
    {[](Config& config) { second(config).static_ports[0] = {.port = 2000, .label = "x", .program = {}}; },
     "/groups/1/ports/static/0: port 2000 (TCP) is group \"EBANKING\"'s already, by /groups/0/ports/dynamic/0; give "
     "each port to one group"},
    {[](Config& config) {
       second(config).static_ports[0] = {.port = 53, .protocol = udp, .label = "x", .program = {}};
     },
     "/groups/1/ports/static/0: port 53 (UDP) is group \"EBANKING\"'s already, by /groups/0/ports/static/1; give each "
     "port to one group"},
    // Within a group.
    {[](Config& config) { first(config).dynamic[1].from = 3000; },
     "/groups/0/ports/dynamic/1: has port 3000 (TCP) in common with /groups/0/ports/dynamic/0; join the two, or move "
     "one"},
    {[](Config& config) {
       first(config).static_ports.push_back({.port = 53, .protocol = udp, .label = "other", .program = {}});
     },
     "/groups/0/ports/static/2: port 53 (UDP) stands at /groups/0/ports/static/1 already; remove one of the two"},
    {[](Config& config) {
       first(config).static_ports.push_back({.port = 54, .protocol = udp, .label = "dns", .program = {}});
     },
     "/groups/0/ports/static/2/label: \"dns\" is the label of another UDP port, at /groups/0/ports/static/1/label; "
     "each "
     "needs its own"},
    {[](Config& config) { first(config).dynamic[1] = {.from = 30'000, .to = 60'000, .protocols = both}; },
     "/groups/0/ports: the group has 64006 ports, those of TCP and of UDP counted together; the most is 32768; narrow "
     "its ranges, or give them one protocol"},
    // Quotas. 2001 ports of UDP, one of TCP less but ten more.
    {[](Config& config) { first(config).free_min = 2002; },
     "/groups/0/ports/free_min: is 2002, but the group has 2001 dynamic UDP ports; lower it, or widen "
     "/groups/0/ports/dynamic"},
    {[](Config& config) { first(config).per_process_max = 4012; },
     "/groups/0/ports/per_process_max: is 4012, but the group has 4011 dynamic ports in all; lower it, or set it to 0 "
     "for no limit"},
    {[](Config& config) { second(config).free_min = 1; },
     "/groups/1/ports/free_min: means nothing without dynamic ports; remove it, or add /groups/1/ports/dynamic"},
    {[](Config& config) { second(config).per_process_max = 1; },
     "/groups/1/ports/per_process_max: means nothing without dynamic ports; remove it, or add /groups/1/ports/dynamic"},
    // Enforcement.
    {[](Config& config) { first(config).enforcement.guard = true; },
     "/groups/0/ports/enforcement/reservation: must be true where guard is: the kernel would go on choosing these "
     "ports for other programs, and the guard would refuse them"},
    {[](Config& config) { first(config).enforcement = {.reservation = true, .holders = true, .guard = true}; },
     "/groups/0/ports/enforcement/holders: is superfluous where guard is true: the guard stops all that holders stop, "
     "and would refuse the holders' own sockets; set one of the two to false"},
    {[](Config& config) { second(config).enforcement.holders = true; },
     "/groups/1/ports/enforcement/holders: needs a group of one user, since a port that is held can be bound by that "
     "user alone; the group has 0 users and 1 Unix group: give one entry in \"users\" and none in \"unix_groups\", or "
     "use the guard"},
    {[](Config& config) {
       config.groups[0].users = {"1000", "1001"};
       first(config).enforcement.holders = true;
     },
     "/groups/0/ports/enforcement/holders: needs a group of one user, since a port that is held can be bound by that "
     "user alone; the group has 2 users and 0 Unix groups: give one entry in \"users\" and none in \"unix_groups\", or "
     "use the guard"},
    // Source ports.
    {[](Config& config) { config.upstreams[0].tcp.source_ports = "EBANKIN"; },
     "/upstreams/0/tcp/source_ports: no group is named \"EBANKIN\"; did you mean \"EBANKING\"?"},
    {[](Config& config) {
       config.upstreams[0].groups = {"POS"};
       config.upstreams[0].tcp.source_ports = "EBANKING";
     },
     "/upstreams/0/tcp/source_ports: group \"EBANKING\" may not use this upstream; add it to /upstreams/0/groups, or "
     "name a group of that list"},
    {[](Config& config) { config.upstreams[0].tcp.source_ports = "POS"; },
     "/upstreams/0/tcp/source_ports: takes 6 ports (two for each session that there may be at one time), but group "
     "\"POS\" has 0 dynamic TCP ports; widen /groups/1/ports/dynamic, or lower \"sessions\" or \"sessions_max\""},
    {[](Config& config) {
       first(config).dynamic = {{.from = 4000, .to = 4008, .protocols = tcp}};
       config.upstreams[0].tcp.source_ports = "EBANKING";
       config.upstreams.push_back(config.upstreams[0]);
       config.upstreams[1].name = "other";
       config.upstreams[1].sessions = 1;
     },
     "/upstreams/1/tcp/source_ports: takes 4 ports, and 10 with upstreams before it (two for each session that there "
     "may be at one time), but group \"EBANKING\" has 9 dynamic TCP ports; widen /groups/0/ports/dynamic, or lower "
     "\"sessions\" or \"sessions_max\""},
    // Values by themselves.
    {[](Config& config) { first(config).static_ports[0].label = "mq/listen"; },
     "/groups/0/ports/static/0/label: must be a label of 1 to 63 letters, digits, \"_\", \".\", \"+\" and \"-\", is "
     "\"mq/listen\""},
    {[](Config& config) { first(config).static_ports[0].program = "0123456789abcdef"; },
     "/groups/0/ports/static/0/program: must be a program's name as in /proc/PID/comm: at most 15 printable ASCII "
     "characters, no slash or quotation mark, is \"0123456789abcdef\""},
    {[](Config& config) { config.engine.port_sweep_ms = 9; },
     "/engine/port_sweep_ms: must be between 10 and 60000, is 9"},
};

TEST_CASE("config.each broken rule about ports has one error at its pointer") {
  CHECK(in_words(check(good())) == "");
  for (const Broken& broken : kBroken) {
    CAPTURE(broken.error);
    Config config = good();
    broken.change(config);
    CHECK(in_words(check(config)) == "FILE: " + broken.error + "\n");
  }
}

TEST_CASE("config.ports at the edge of a rule are good") {
  const std::vector<std::function<void(Config&)>> changes = {
      [](Config& config) { first(config).dynamic[1].from = 3001; },
      [](Config& config) { second(config).dynamic = {{.from = 3001, .to = 3999}}; },
      [](Config& config) {
        second(config).static_ports[0] = {.port = 4009, .protocol = udp, .label = "x", .program = {}};
      },
      [](Config& config) { first(config).static_ports.push_back({.port = 54, .label = "other", .program = {}}); },
      [](Config& config) { first(config).static_ports[0].program = "some program.15"; },
      [](Config& config) { first(config).free_min = 2001; },
      [](Config& config) { first(config).per_process_max = 4011; },
      [](Config& config) { first(config).enforcement.holders = true; },
      [](Config& config) { first(config).enforcement = {.reservation = true, .guard = true}; },
      [](Config& config) {
        first(config).dynamic = {{.from = 32'769, .to = 65'535, .protocols = tcp}};
        first(config).static_ports.resize(1);
        second(config).static_ports.clear();
      },
      [](Config& config) {
        first(config).dynamic = {{.from = 4000, .to = 4005, .protocols = tcp}};
        config.upstreams[0].tcp.source_ports = "EBANKING";
      },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    CAPTURE(i);
    Config config = good();
    changes[i](config);
    CHECK(in_words(check(config)) == "");
  }
}

TEST_CASE("config.what follows from a wrong port is not reported again") {
  Config config = good();
  second(config).static_ports[0] = {.port = 2000, .label = "x", .program = {}};
  CHECK(check(config).size() == 1);
  const ConfigErrors earlier = {{.pointer = "/groups/0/ports/dynamic/0/to", .message = "x"}};
  CHECK(in_words(check(config, earlier)) == "");
}

TEST_CASE("config.a static port is no dynamic one") {
  const Config config = good();
  CHECK(dynamic_ports(config.groups[0].ports, tcp).count() == 2010);
  CHECK(dynamic_ports(config.groups[0].ports, udp).count() == 2001);
  CHECK(!dynamic_ports(config.groups[0].ports, tcp).test(1414));
  CHECK(dynamic_ports(config.groups[0].ports, udp).test(1414));
}

KernelPorts kernel_ports(std::uint16_t from, std::uint16_t to) { return {.from = from, .to = to, .reserved = {}}; }

std::string machine_errors(const Config& config, const KernelPorts& kernel) {
  Findings findings({});
  check_machine_ports(config, kernel, findings);
  return in_words(std::move(findings).take());
}

TEST_CASE("config.ports that the kernel gives to anybody are an error unless they are reserved") {
  Config config = good();
  CHECK(machine_errors(config, kernel_ports(32'768, 60'999)) == "");
  CHECK(machine_errors(config, kernel_ports(3001, 3999)) == "");
  const std::string remedy = "; set /groups/0/ports/enforcement/reservation to true, or choose ports outside of it\n";
  CHECK(machine_errors(config, kernel_ports(2900, 3999)) ==
        "FILE: /groups/0/ports/dynamic/0: ports 2900 to 3000 are some that the kernel gives to any program "
        "(net.ipv4.ip_local_port_range is 2900 to 3999)" +
            remedy);
  CHECK(machine_errors(config, kernel_ports(40, 60)) ==
        "FILE: /groups/0/ports/static/1/port: port 53 is one that the kernel gives to any program "
        "(net.ipv4.ip_local_port_range is 40 to 60)" +
            remedy);

  KernelPorts kernel = kernel_ports(2900, 3999);
  for (std::size_t port = 2901; port <= 3000; ++port) kernel.reserved.set(port);
  CHECK(machine_errors(config, kernel).contains("/groups/0/ports/dynamic/0: port 2900 is one that"));
  kernel.reserved.set(2900);
  CHECK(machine_errors(config, kernel) == "");

  first(config).enforcement.reservation = true;
  CHECK(machine_errors(config, kernel_ports(1, 3999)) == "");
  CHECK(machine_errors(config, kernel_ports(1, 65'535)).starts_with("FILE: /groups/1/ports/static/0/port: port 4000 "));
}

TEST_CASE("config.the kernel's settings of ports are read") {
  const tlsmux::test::TemporaryFolder folder;
  const auto read = [&](const std::string& range, const std::string& reserved) {
    (void)folder.add("ip_local_port_range", range);
    (void)folder.add("ip_local_reserved_ports", reserved);
    return read_kernel_ports(folder.path());
  };
  const auto some = read("32768\t60999\n", "1000-1002,8080\n");
  REQUIRE(some.has_value());
  CHECK(some->from == 32'768);
  CHECK(some->to == 60'999);
  CHECK(some->reserved.count() == 4);
  CHECK(some->reserved.test(1002));
  CHECK(some->reserved.test(8080));
  const auto none = read("1 65535\n", "\n");
  REQUIRE(none.has_value());
  CHECK(none->reserved.none());

  CHECK(read("7 7", "").value().to == 7);
  for (const char* range : {"", "\n", "32768\n", "60999 32768", "32768 65536", "32768 60999 1", "a b", "-1 5", "1,5"}) {
    CAPTURE(range);
    CHECK(read(range, "").error() == folder.path() + "/ip_local_port_range does not hold two ports, the lower first");
  }
  CHECK(read("1 2", "1-\n").error() == folder.path() + "/ip_local_reserved_ports does not hold a list of ports");
  CHECK(read("1 2", "70000").error() == folder.path() + "/ip_local_reserved_ports does not hold a list of ports");
  CHECK(read_kernel_ports(folder.path() + "/none").error() ==
        folder.path() + "/none/ip_local_port_range cannot be read: No such file or directory");
  CHECK(read_kernel_ports().has_value());
}

}  // namespace
}  // namespace tlsmux::config::test
