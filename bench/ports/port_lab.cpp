#include "bench/ports/port_lab.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "bench/ports/port_client.hpp"
#include "bench/systems/config_template.hpp"

namespace tlsmux::bench {
namespace {

constexpr Thousand kLeasing{.first = 20'000};
constexpr Thousand kAsking{.first = 21'000};
constexpr Thousand kFree{.first = 22'000};
constexpr Thousand kUngrouped{.first = 40'000};  // where the kernel chooses, too
constexpr std::uint16_t kFreePort = 30'000;
constexpr std::uint16_t kStaticPort = 5'000;  // behind it, one for each group
constexpr int kLeases = 8;                    // as many as the default
constexpr int kManyLeases = 32;

// Nobody listens at the host's port.
constexpr auto kConfig = R"({
  "engine": { "control_socket": "@SOCKET@", "drain_timeout_ms": 100, "log": { "level": "warning" } },
  "groups": [@GROUPS@],
  "upstreams": [
    { "name": "nobody", "groups": ["@GROUP@"], "endpoints": ["127.0.0.1:9"], "tls": { "verify_peer": false },
      "backoff": { "initial_ms": 60000, "max_ms": 60000 } }
  ]
})";

constexpr auto kGroup = R"(
    { "name": "@NAME@", "users": ["@USER@"],
      "ports": {
        "static": [{ "port": @STATIC@, "protocol": "both", "label": "@LABEL@" }],
        "dynamic": [{ "from": @FROM@, "to": @TO@ }],
        "leases_per_process": @LEASES@, "reuse_delay_ms": 0 } })";

std::string group_text(const std::string& name, Thousand ports, int leases) {
  return fill_in(kGroup, {{"NAME", name},
                          {"USER", std::to_string(::getuid())},
                          {"STATIC", std::to_string(kStaticPort + ports.first / Thousand::kCount)},
                          {"LABEL", kPortLabel},
                          {"FROM", std::to_string(ports.first)},
                          {"TO", std::to_string(ports.last())},
                          {"LEASES", std::to_string(leases)}});
}

// They stay bound as long as the process lives.
void bind_by_group(const std::string& group, const std::string& control_socket, int count) {
  PortClient client(group, control_socket);
  for (const auto protocol : ports::kProtocols) {
    for (int i = 0; i < count; ++i) {
      auto socket = make_socket(protocol);
      client.bind(socket);
      static_cast<void>(socket.release());
    }
  }
  // What it has on lease goes back when it detaches.
}

void bind_all_but_the_last(Thousand ports) {
  for (const auto protocol : ports::kProtocols) {
    for (auto port = ports.first; port < ports.last(); ++port) {
      auto socket = make_socket(protocol);
      if (!bind_to(socket, port)) throw std::runtime_error("somebody has port " + std::to_string(port));
      static_cast<void>(socket.release());
    }
  }
}

}  // namespace

PortLab::PortLab(const Ground& ground)
    : group_("BENCH-" + std::to_string(::getpid())),
      folder_(ground.folder + "/ports"),
      control_socket_(folder_ + "/control.sock") {
  start_engine(ground);
  take(leasing_group(), Thousand::kCount - kLeftWithLeases);
  take(asking_group(), Thousand::kCount - 1);
  keepers_.emplace_back([] { bind_all_but_the_last(kUngrouped); });
}

Thousand PortLab::ungrouped() { return kUngrouped; }
std::uint16_t PortLab::free_port() { return kFreePort; }

void PortLab::start_engine(const Ground& ground) {
  std::filesystem::create_directories(folder_);
  const auto config = folder_ + "/tlsmux.json";
  std::ofstream(config) << fill_in(kConfig, {{"SOCKET", control_socket_},
                                             {"GROUPS", group_text(leasing_group(), kLeasing, kLeases) + "," +
                                                            group_text(asking_group(), kAsking, 0) + "," +
                                                            group_text(free_group(), kFree, kManyLeases)},
                                             {"GROUP", leasing_group()}});
  engine_.emplace(Launch{.command = {ground.program_folder + "/tlsmuxd", config},
                         .environment = {},
                         .log_file = folder_ + "/log",
                         .descriptors = {},
                         .signal_if_orphaned = SIGTERM});
}

void PortLab::take(const std::string& group, int count) {
  keepers_.emplace_back([&] { bind_by_group(group, control_socket_, count); });
}

}  // namespace tlsmux::bench
