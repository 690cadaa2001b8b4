// Networks that fail: two hosts behind a router, each at a cable of its own, all in network namespaces.

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>

#include <doctest/doctest.h>

#include "tests/faults/asking_scene.hpp"
#include "tests/faults/delay_proxy.hpp"
#include "tests/faults/rig.hpp"
#include "tests/faults/truth.hpp"
#include "tests/support/network_namespace.hpp"
#include "tests/support/skip.hpp"
#include "tests/system/proc_files.hpp"

namespace tlsmux::test {
namespace {

constexpr std::size_t kHosts = 2;
constexpr std::size_t kInFlightMax = 4;
constexpr std::size_t kBurst = 6 * kInFlightMax;  // more than all sessions take: each of them gets some

bool skip_without_tools() {
  for (const auto* command : {"ip -V >/dev/null 2>&1", "nft -v >/dev/null 2>&1"}) {
    if (host::run_command({"sh", "-c", command}) == 0) continue;
    skip("needs packages iproute2 and nftables; this fails: " + std::string(command));
    return true;
  }
  return skip_without_network_namespaces();
}

// The calling thread is in a namespace, and so is what it starts, until the end.
class Inside {
 public:
  explicit Inside(const NetworkNamespace& network)
      : outside_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    REQUIRE(outside_);
    network.enter();
  }
  ~Inside() { CHECK(::setns(outside_.get(), CLONE_NEWNET) == 0); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  shm::UniqueFd outside_;
};

void run_in(const NetworkNamespace& network, const std::string& command) {
  const Inside inside(network);
  REQUIRE_MESSAGE(host::run_command({"sh", "-c", command}) == 0, command);
}

// The engine's machine at 10.99.0.2, host N's at 10.99.N.2, and the router between them at each .1; the router's end of
// host N's cable is "cableN".
class Network {
 public:
  Network() {
    router_.set_sysctl("net/ipv4/ip_forward", "1");
    connect(engine_, 0);
    for (std::size_t i = 0; i < kHosts; ++i) connect(hosts_[i], i + 1);
  }

  [[nodiscard]] const NetworkNamespace& engine() const { return engine_; }
  [[nodiscard]] const NetworkNamespace& host(std::size_t number) const { return hosts_[number - 1]; }
  [[nodiscard]] const NetworkNamespace& router() const { return router_; }
  static std::string host_address(std::size_t number) { return "10.99." + std::to_string(number) + ".2"; }
  static std::string router_address(std::size_t number) { return "10.99." + std::to_string(number) + ".1"; }

  void cut(std::size_t number) const { run_in(router_, "ip link set cable" + std::to_string(number) + " down"); }
  void mend(std::size_t number) const { run_in(router_, "ip link set cable" + std::to_string(number) + " up"); }
  void kill_router() const { router_.set_sysctl("net/ipv4/ip_forward", "0"); }
  void revive_router() const { router_.set_sysctl("net/ipv4/ip_forward", "1"); }
  // Of what goes to the hosts and of what comes from them.
  void lose(unsigned percent_there, unsigned percent_back) const {
    const auto rule = [](const char* cable, unsigned percent) {
      return std::string(" && nft add rule inet loss forward ") + cable + " cable0 numgen random mod 100 '<' " +
             std::to_string(percent) + " counter drop";
    };
    run_in(router_,
           "nft add table inet loss && nft add chain inet loss forward '{ type filter hook forward priority 0; }'" +
               rule("iifname", percent_there) + rule("oifname", percent_back));
  }
  // Whether packets were lost there and back.
  [[nodiscard]] bool has_lost() const {
    std::string rules;
    const Inside inside(router_);
    FILE* const output = ::popen("nft list table inet loss", "re");
    REQUIRE(output != nullptr);
    std::array<char, 4096> part{};
    while (const auto got = std::fread(part.data(), 1, part.size(), output)) rules.append(part.data(), got);
    REQUIRE(::pclose(output) == 0);
    REQUIRE(rules.find("counter packets ") != std::string::npos);
    return rules.find("counter packets 0 ") == std::string::npos;
  }
  void end_loss() const { run_in(router_, "nft delete table inet loss"); }

 private:
  void connect(const NetworkNamespace& machine, std::size_t number) const {
    const auto net = "10.99." + std::to_string(number) + ".";
    const auto cable = "cable" + std::to_string(number);
    run_in(router_, "ip link add " + cable + " type veth peer name eth0 netns /proc/" + std::to_string(::getpid()) +
                        "/fd/" + std::to_string(machine.descriptor()) + " && ip address add " + net + "1/24 dev " +
                        cable + " && ip link set " + cable + " up");
    run_in(machine,
           "ip address add " + net + "2/24 dev eth0 && ip link set eth0 up && ip route add default via " + net + "1");
  }

  NetworkNamespace engine_;
  NetworkNamespace router_;
  std::array<NetworkNamespace, kHosts> hosts_;
};

// With a host at each cable, and a session to each of them.
class Scene : public AskingScene {
 public:
  Scene() {
    std::vector<config::EndpointSettings> endpoints;
    for (std::size_t number = 1; number <= kHosts; ++number) {
      records_.push_back(folder.path("record-" + std::to_string(number)));
      const Inside inside(network.host(number));
      const auto address = Network::host_address(number);
      hosts_.push_back(std::make_unique<host::HostProcess>(std::vector<std::string>{
          "--mode", "echo", "--delay-us", "10000", "--listen", address + ":0", "--record", records_.back()}));
      endpoints.push_back({.host = address, .port = hosts_.back()->port()});
    }
    {
      const Inside inside(network.engine());
      start_engine(0, [&](config::Config& settings) {
        auto& upstream = settings.upstreams[0];
        upstream.endpoints = endpoints;
        upstream.tls.server_name = "localhost";
        upstream.sessions = kHosts;
        upstream.in_flight_max = kInFlightMax;
        upstream.timeouts.connect_ms = 400;
        upstream.timeouts.handshake_ms = 1500;
        upstream.timeouts.silence_ms = 1500;
      });
    }
    engine->await_sessions(kHosts);
    begin();
  }

  void await_all_sessions() const {
    await([&] { return facts().sessions_ready == kHosts; });
  }
  [[nodiscard]] std::uint64_t received_by(std::size_t number) const {
    return count_receipts(read_host_records({records_[number - 1]}));
  }
  void end() {
    CHECK(all.size() == submitted);
    CHECK(engine->stop() == 0);
    // A host reads to the end what had been under way to it.
    for (auto& host : hosts_) CHECK(host->stop() == 0);
    check_truth(all, read_host_records(records_));
  }

  Network network;

 private:
  std::vector<std::string> records_;
  std::vector<std::unique_ptr<host::HostProcess>> hosts_;
};

}  // namespace

TEST_CASE(
    "faults.network: a cable is cut: the other host serves, what was on its way is MAYBE_SENT, and it comes back") {
  if (skip_without_tools()) return;
  Scene scene;
  CHECK(count_ended(scene.ask(10), TMX_ANSWERED) == 10);
  scene.network.cut(1);
  const auto during = scene.ask(kBurst);
  CHECK(count_ended(during, TMX_MAYBE_SENT) == kInFlightMax);
  CHECK(count_ended(during, TMX_ANSWERED) == kBurst - kInFlightMax);
  CHECK(count_ended(during, TMX_NOT_SENT) == 0);  // there was another host all the time
  scene.engine->log().wait_for("event=session_lost");
  CHECK(count_ended(scene.ask(8), TMX_ANSWERED) == 8);
  scene.network.mend(1);
  // Both sessions may be at the other host by now; the one to this host comes when its pause is over.
  const auto before = scene.received_by(1);
  await([&] {
    CHECK(count_ended(scene.ask(kBurst), TMX_ANSWERED) == kBurst);
    return scene.received_by(1) > before;
  });
  scene.end();
}

TEST_CASE("faults.network: the router dies: deadlines hold, nothing is said to be answered, and sessions come back") {
  if (skip_without_tools()) return;
  Scene scene;
  CHECK(count_ended(scene.ask(4), TMX_ANSWERED) == 4);
  scene.network.kill_router();
  const auto during = scene.ask(kBurst, 1'000);
  CHECK(count_ended(during, TMX_MAYBE_SENT) == kHosts * kInFlightMax);
  CHECK(count_ended(during, TMX_NOT_SENT) == kBurst - kHosts * kInFlightMax);
  scene.engine->log().wait_for("event=session_lost", kHosts);
  const auto without = scene.ask(4, 300);
  CHECK(count_ended(without, TMX_NOT_SENT) == 4);
  scene.network.revive_router();
  scene.await_all_sessions();
  CHECK(count_ended(scene.ask(8), TMX_ANSWERED) == 8);
  scene.end();
}

TEST_CASE("faults.network: packets are lost, more on the way back than there: every outcome is true") {
  if (skip_without_tools()) return;
  Scene scene;
  scene.network.lose(5, 25);
  std::size_t answered = 0;
  constexpr int kRounds = 12;
  for (int round = 0; round < kRounds || !scene.network.has_lost(); ++round) {
    answered += count_ended(scene.ask(10, 400), TMX_ANSWERED);
  }
  scene.network.end_loss();
  CHECK(answered > 0);
  scene.await_all_sessions();
  CHECK(count_ended(scene.ask(10), TMX_ANSWERED) == 10);
  scene.end();
}

TEST_CASE("faults.network: delays and jitter at the router, and its power fails: what was in it is MAYBE_SENT") {
  if (skip_without_tools()) return;
  AskingScene scene;
  const Network network;
  std::unique_ptr<host::HostProcess> host;
  std::unique_ptr<DelayProxy> proxy;
  {
    const Inside inside(network.host(1));
    host = std::make_unique<host::HostProcess>(std::vector<std::string>{
        "--mode", "echo", "--listen", Network::host_address(1) + ":0", "--record", scene.record});
  }
  {
    const Inside inside(network.router());
    proxy = std::make_unique<DelayProxy>(host->port(), Network::host_address(1), Network::router_address(0));
  }
  for (const auto way : {Way::to_host, Way::to_engine}) proxy->set(way, {.delay_us = 50'000, .jitter_us = 50'000});
  {
    const Inside inside(network.engine());
    scene.start_engine(proxy->port(), [&](config::Config& config) {
      auto& upstream = config.upstreams[0];
      upstream.endpoints[0].host = Network::router_address(0);
      upstream.tls.server_name = "localhost";
      upstream.timeouts.silence_ms = 5'000;
    });
  }
  scene.begin();
  CHECK(count_ended(scene.ask(kBurst), TMX_ANSWERED) == kBurst);
  proxy->set(Way::to_host, {.delay_us = 60'000'000});
  scene.submit(5);
  await([&] { return proxy->counts().waiting[0] > 5 * scene.message_bytes; });
  proxy->kill();
  CHECK(count_ended(scene.take(5), TMX_MAYBE_SENT) == 5);
  CHECK(count_receipts(scene.receipts()) == kBurst);
  CHECK(scene.engine->stop() == 0);
  CHECK(host->stop() == 0);
  scene.check_all();
}

// The kernel ends a receive with ENOBUFS when it finds no buffer, and there are fewer than these fill.
TEST_CASE("faults.network: more comes at once than the engine has buffers for: no session is lost, all are answered") {
  if (skip_without_network_namespaces()) return;
  constexpr std::uint32_t kSessions = 16;
  constexpr std::uint32_t kInFlightEach = 4;
  constexpr std::uint32_t kRequests = kSessions * kInFlightEach;
  constexpr std::size_t kBytes = 50'000;
  const Residue residue;
  const TemporaryFolder folder;
  const auto record = folder.path() + "/record";
  const NetworkNamespace network;
  network.set_sysctl("net/ipv4/tcp_rmem", "4096 2097152 6291456");  // so much, that the kernel takes all of it
  const Inside inside(network);
  const host::HostProcess host({"--mode", "echo", "--record", record, "--message-bytes-max", "65535"});
  const DelayProxy proxy(host.port());
  auto config = engine_config(folder, {proxy.port()});
  set_large_messages(config);
  set_keyed(config.upstreams[0]);
  config.upstreams[0].sessions = kSessions;
  config.upstreams[0].in_flight_max = kInFlightEach;
  config.groups[0].memory.slots_per_channel = 2 * kRequests;
  config.groups[0].memory.channels_per_client = 1;
  EngineProcess engine(folder, config);
  engine.await_sessions(kSessions);
  Requester requester(config);
  proxy.stall(Way::to_engine, 0);
  for (std::uint64_t tag = 1; tag <= kRequests; ++tag) {
    requester.submit_surely(keyed_message(tag, kBytes), tag, 60'000);
  }
  await([&] { return proxy.counts().waiting[1] > kRequests * kBytes; });
  stop_process(engine.engine_pid());
  proxy.go_on(Way::to_engine);
  await([&] { return proxy.counts().waiting[1] == 0; });
  REQUIRE(::kill(engine.engine_pid(), SIGCONT) == 0);
  const auto all = requester.take(kRequests);
  CHECK(count_ended(all, TMX_ANSWERED) == kRequests);
  check_truth(all, read_host_records({record}), kBytes);
  CHECK(engine.log().count("event=session_lost") == 0);
  CHECK(engine.stop() == 0);
}

}  // namespace tlsmux::test
