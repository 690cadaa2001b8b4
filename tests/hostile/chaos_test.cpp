// A client that does all that a client can do, and two that must not notice. Each fails with the seed that repeats it.

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/broker/log_pipe.hpp"
#include "tests/faults/neighbourhood.hpp"
#include "tests/hostile/chaos_client.hpp"
#include "tests/hostile/neighbour_rates.hpp"
#include "tests/support/seed.hpp"
#include "tests/system/shared_object.hpp"
#include "tests/wrapper/loopback_listener.hpp"

namespace tlsmux::test {
namespace {

constexpr int kAtOnce = 2;
constexpr int kPorts = 8;

// Ports that nobody has now, outside of those that the kernel chooses from. By the pid, so that no other test is likely to choose
// the same at the same time.
void set_ports(config::GroupSettings& group) {
  constexpr int kFirst = 61'000;
  constexpr int kEnd = 65'000;
  for (int i = 0; group.ports.dynamic.empty(); ++i) {
    const auto from = static_cast<std::uint16_t>(kFirst + (::getpid() + i) * kPorts % (kEnd - kFirst));
    const auto to = static_cast<std::uint16_t>(from + kPorts - 1);
    try {
      std::vector<LoopbackListener> taken;
      for (int port = from; port <= to; ++port) taken.emplace_back(AF_INET, static_cast<std::uint16_t>(port));
      group.ports.dynamic = {{.from = from, .to = to, .protocols = config::PortProtocols::both}};
    } catch (const std::runtime_error&) {
      REQUIRE(i < kEnd);
    }
  }
}

void set_for_chaos(config::Config& config, std::uint16_t redirected_port) {
  for (auto& group : config.groups) group.users.push_back(std::to_string(kNobody));
  set_ports(config.groups[0]);
  config.engine.shards = 2;
  auto more = config.upstreams[0];
  more.name = kUpstreamsOfRequests[1];
  config.upstreams.push_back(more);
  more.groups = {config.groups[0].name};
  more.name = kUpstreamsOfRequests[2];
  more.correlation = {.kind = config::CorrelationKind::iso8583};
  more.correlation.iso8583.spec = "1987_ascii";
  more.timeouts.late_answer_ms = 500;
  config.upstreams.push_back(more);
  more.name = kUpstreamOfChaos;
  more.correlation = {};
  more.timeouts = {};
  config.upstreams.push_back(more);
  more.name = "model";
  more.streams.kind = config::StreamKind::leased;
  config.upstreams.push_back(more);
  auto& wrapper = config.ssl_wrapper;
  wrapper.rules.push_back({.address = "127.0.0.1", .name = {}, .port = redirected_port, .upstream = kUpstreamOfChaos});
  wrapper.rules.push_back({.address = {},
                           .name = std::string("*") + kDomainOfChaos,
                           .port = redirected_port,
                           .upstream = more.name,
                           .create = true});
  wrapper.created_max = 8;
}

int rounds() {
  const char* const more = std::getenv("TLSMUX_HOSTILE_ROUNDS");
  return more != nullptr ? std::atoi(more) : 5;
}

// The engine keeps memory ready for a client like the last one, but not of the usual size here.
void forget_spare(const config::Config& config, const std::string& group) {
  await([&] { return ControlClient(config.engine.control_socket).attach(group).has_value(); });
}

// How often clients were detached, by what the log gives as the reason.
using Reasons = std::map<std::string, std::size_t>;

void count_reasons(LogReader& log, Reasons& reasons) {
  for (const auto& line : log.lines_with("event=client_detached")) ++reasons[value_in(line, "reason")];
  for (const auto& line : log.lines_with("event=clients_detached")) {
    reasons[value_in(line, "reason")] += std::stoull(value_in(line, "unlogged"));
  }
  log.forget();
}

void print(const Reasons& reasons) {
  for (const auto& [reason, count] : reasons) std::printf("%8zu detached: %s\n", count, reason.c_str());
}

void print(const ActCounts& counts) {
  std::size_t i = 0;
  for (const auto acts : {memory_acts(), control_acts()}) {
    for (const auto& act : acts)
      std::printf("%8llu %s\n", static_cast<unsigned long long>(counts[i++].load()), act.name);
  }
}

}  // namespace

TEST_CASE("hostile.a client that does all that it can, by chance") {
  const LoopbackListener original;
  Neighbourhood place({"--mode", "echo", "--delay-us", "1000", "--jitter-us", "5000", "--out-of-order"},
                      [&](config::Config& config) { set_for_chaos(config, original.port()); });
  const SharedObject<ActCounts> counts;
  std::mt19937_64 random(seed());
  auto& log = place.rig().engine().log();
  Reasons reasons;
  std::unique_ptr<NeighbourRates> rates;  // for people, so only when asked
  if (std::getenv(kRatesAsked) != nullptr) rates = std::make_unique<NeighbourRates>(place, kAtOnce);
  std::printf("TLSMUX_SEED=%llu\n", static_cast<unsigned long long>(seed()));
  for (int round = 0; round < rounds(); ++round) {
    INFO("TLSMUX_SEED=", seed(), " round ", round);
    if (rates) rates->begin();
    std::vector<std::unique_ptr<ChildProcess>> clients;
    for (int i = 0; i < kAtOnce; ++i) {
      const ChaosOrder order{.config = place.config(),
                             .redirected_port = original.port(),
                             .seed = random(),
                             .user = kNobody,
                             .counts = *counts};
      clients.push_back(std::make_unique<ChildProcess>([order] { return run_chaos(order); }));
    }
    for (auto& client : clients) CHECK(client->wait() == 0);
    if (rates) rates->end();
    REQUIRE(place.neighbours_work());
    REQUIRE(log.count("event=engine_died") == 0);
    count_reasons(log, reasons);
  }
  print(*counts);
  print(reasons);
  if (rates) rates->print();
  const auto acts = memory_acts().size() + control_acts().size();
  for (std::size_t i = 0; i < acts; ++i) CHECK((*counts)[i].load() > 0);
  CHECK(reasons.size() >= 5);
  CHECK_FALSE(reasons.contains(""));
  for (const auto& group : place.config().groups) forget_spare(place.config(), group.name);
  place.check_and_stop();
}

}  // namespace tlsmux::test
