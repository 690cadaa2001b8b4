#include "tests/soak/world.hpp"

#include <unistd.h>

#include <filesystem>
#include <iterator>
#include <tuple>
#include <utility>

#include <doctest/doctest.h>

#include "tests/soak/settlement.hpp"
#include "tests/system/await.hpp"
#include "tests/system/command.hpp"
#include "tests/system/engine_config.hpp"

namespace tlsmux::soak {
namespace {

constexpr std::size_t kClients = 5;
constexpr std::uint32_t kResidentClients = 0x4000'0000;  // their numbers in messages begin here
constexpr int kSparesMax = 4;
constexpr const char* kSpare = "spare";  // the upstream that comes and goes

enum HostNumber : std::size_t { kHostA, kHostB, kHostFifo, kHostIso8583, kHostLeased };

}  // namespace

World::World(std::uint64_t seed, const test::EngineLaunch& launch)
    : seed_(seed), clients_(folder_.path(), [this](std::uint32_t client) { return make_order(client); }) {
  start_hosts();
  make_config();
  write_certificate("client");
  engine_ = std::make_unique<test::EngineProcess>(folder_, config_, launch);
  start_residents();
}

World::~World() = default;

void World::start_hosts() {
  add_host("a", {"--mode", "echo", "--tls", "1.3", "--delay-us", "300", "--jitter-us", "10000", "--out-of-order",
                 "--silent-percent", "1", "--late-percent", "1", "--late-ms", "700", "--duplicate-percent", "1"});
  add_host("b", {"--mode", "echo", "--tls", "1.2", "--close-after", "2000"});
  add_host("fifo", {"--mode", "echo", "--jitter-us", "2000"});
  add_host("iso8583",
           {"--mode", "iso8583", "--tls", "1.2", "--delay-us", "500", "--silent-percent", "1", "--late-percent", "1",
            "--late-ms", "1200", "--duplicate-percent", "1", "--refuse-percent", "5"});
  add_host("leased", {"--mode", "echo", "--close-after", "500"});
}

void World::add_host(const std::string& name, std::vector<std::string> arguments) {
  hosts_.push_back(std::make_unique<test::ReturningHost>(folder_, name, std::move(arguments)));
}

void World::make_config() {
  config_ = test::engine_config(folder_, {hosts_[kHostA]->port(), hosts_[kHostB]->port()});
  config_.engine.drain_timeout_ms = 1000;
  config_.engine.shards = 2;
  config_.engine.port_sweep_ms = 200;
  if (::geteuid() == 0) config_.engine.user = std::to_string(test::kNobody);
  auto& first = config_.groups[0];
  first.memory.channels_per_client = 3;
  first.memory.slots_per_channel = 16;
  // Few, and not for long: what is kept of the dead is no leak, and shall not look like one.
  first.orphans = {.count_max = 16, .age_max_s = 5};
  auto second = first;
  second.name = test::unique_group();
  // Another soak on the same machine should have others.
  const auto ports_from = static_cast<std::uint16_t>(17'000 + ::getpid() % 32 * 400);
  second.ports.dynamic = {{.from = ports_from, .to = static_cast<std::uint16_t>(ports_from + 399)}};
  second.ports.reuse_delay_ms = 100;
  config_.groups.push_back(second);
  make_upstreams();
  test::set_large_messages(config_);
}

void World::make_upstreams() {
  const auto first = config_.groups[0].name;
  const auto second = config_.groups[1].name;
  auto& keyed = config_.upstreams[0];
  keyed.groups = {first, second};
  keyed.sessions = 2;
  keyed.in_flight_max = 12;
  keyed.timeouts.request_ms = 1500;  // of what streams ask
  keyed.timeouts.late_answer_ms = 2000;
  keyed.timeouts.write_stall_ms = 2000;
  keyed.streams.wait_ms = 2000;
  keyed.tls.certificate_file = folder_.path("certificate.pem");
  keyed.tls.key_file = folder_.path("certificate.key");
  const auto model = keyed;
  test::set_keyed(keyed);
  const auto add = [&](const std::string& name, const std::string& group,
                       HostNumber host) -> config::UpstreamSettings& {
    auto& upstream = config_.upstreams.emplace_back(model);
    upstream.name = name;
    upstream.groups = {group};
    upstream.endpoints = {{.host = "127.0.0.1", .port = hosts_[host]->port()}};
    return upstream;
  };
  add("fifo", first, kHostFifo);
  auto& iso8583 = add("iso8583", second, kHostIso8583);
  iso8583.correlation.kind = config::CorrelationKind::iso8583;
  iso8583.correlation.iso8583.spec = "1987_ascii";
  iso8583.correlation.iso8583.key_rules = {{.mti = "080", .processing_code = {}, .fields = {11}}};
  auto& leased = add("leased", first, kHostLeased);
  leased.streams.kind = config::StreamKind::leased;
  leased.streams.idle_max_ms = 0;
  leased.in_flight_max = config::UpstreamSettings{}.in_flight_max;  // there are no requests
  leased.timeouts.request_ms = config::TimeoutSettings{}.request_ms;
  leased.timeouts.late_answer_ms = config::TimeoutSettings{}.late_answer_ms;
}

test::LoadOrder World::make_order(std::uint32_t client) const {
  const auto group = client % 3 == 0 ? std::size_t{1} : 0;
  test::LoadOrder order;
  order.control_socket = config_.engine.control_socket;
  order.group = config_.groups[group].name;
  order.seed = seed_;
  order.client = client;
  if (group == 0) order.upstreams.emplace_back("fifo");
  order.bytes_max = 30'000;
  order.timeout_ms_min = 20;
  order.timeout_ms_max = 1500;
  order.cancel_percent = 2;
  return order;
}

void World::start_residents() {
  add_resident(Trade::caller, 0, "acquirer");
  add_resident(Trade::caller, 1, "acquirer");
  add_resident(Trade::iso8583_caller, 1, "iso8583");
  add_resident(Trade::streamer, 1, "acquirer");
  add_resident(Trade::lessee, 0, "leased");
  add_resident(Trade::port_user, 1, {});
}

void World::add_resident(Trade trade, std::size_t group, const std::string& upstream) {
  const auto number = residents_.size();
  const bool is_iso8583 = trade == Trade::iso8583_caller;
  residents_.push_back(std::make_unique<ResidentProcess>(
      ResidentOrder{.trade = trade,
                    .number = number,
                    .client = is_iso8583 ? kIsoClients : kResidentClients + static_cast<std::uint32_t>(number),
                    .seed = seed_,
                    .control_socket = config_.engine.control_socket,
                    .group = config_.groups[group].name,
                    .upstream = upstream,
                    .ledger = folder_.path("resident-" + std::to_string(number))},
      board_));
}

void World::begin_phase() {
  clients_.add(kClients);
  board_.let_work();
}

std::vector<test::LedgerEntry> World::end_phase() {
  board_.let_rest();
  clients_.finish();
  const bool all_rest = test::eventually([&] { return board_.all_rest(residents_.size()); });
  for (std::size_t i = 0; i < residents_.size(); ++i) {
    const auto trouble = board_.trouble(i);
    CHECK_MESSAGE(trouble.empty(), "resident ", i, ": ", trouble);
  }
  REQUIRE_MESSAGE(all_rest, "a resident does not come to rest");
  auto ledgers = clients_.take_ledgers();
  for (const auto& resident : residents_) ledgers.push_back(resident->order().ledger);
  auto entries = test::read_ledgers(ledgers);
  for (const auto& path : ledgers) {
    const bool is_in_use = path.find("resident-") != std::string::npos;
    if (is_in_use && std::filesystem::exists(path)) std::filesystem::resize_file(path, 0);  // it is appended to
    if (!is_in_use) std::filesystem::remove(path);
  }
  return entries;
}

void World::stop() {
  board_.let_end();
  for (auto& resident : residents_) CHECK(resident->wait() == 0);
  CHECK(engine_->stop() == 0);
  for (auto& host : hosts_) CHECK(host->stop() == 0);
}

void World::refresh_settings() {
  auto& upstream = config_.upstreams[0];
  upstream.in_flight_max = upstream.in_flight_max == 12 ? 20 : 12;
  upstream.queue_max = upstream.queue_max == 4096 ? 1024 : 4096;
  refresh("limits");
}

// An engine keeps the place of each upstream that was ever there, and has a few to spare: so only so many in each life.
void World::add_or_remove_upstream() {
  if (std::exchange(engine_of_spares_, engine_->engine_pid()) != engine_->engine_pid()) spares_added_ = 0;
  if (config_.upstreams.back().name == kSpare) {
    config_.upstreams.pop_back();
  } else if (spares_added_ < kSparesMax) {
    auto spare = config_.upstreams[1];  // of the first group
    spare.name = kSpare;
    spare.framing.message_bytes_max = config::FramingSettings{}.message_bytes_max;  // spare sessions have room for that
    config_.upstreams.push_back(spare);
    ++spares_added_;
  } else {
    return refresh_settings();
  }
  refresh("an upstream");
}

void World::rotate_certificate() {
  has_first_certificate_ = !has_first_certificate_;
  write_certificate(has_first_certificate_ ? "client" : "rsa");
  refresh("a certificate");
}

void World::drain_and_resume() {
  const auto drain = [&](const std::string& arguments) {
    return test::run_tlsmux("drain " + arguments + " acquirer --control-socket " + config_.engine.control_socket);
  };
  const auto drained = drain("--timeout-ms 300");
  CHECK_MESSAGE(drained.exit_code <= 1, drained.text);  // 1: some requests were not done in time
  const auto resumed = drain("--resume");
  CHECK_MESSAGE(resumed.exit_code == 0, resumed.text);
}

std::vector<std::string> World::records() const {
  std::vector<std::string> all;
  for (const auto& host : hosts_) all.push_back(host->record());
  return all;
}

Watched World::watched() const {
  Watched all{.config = config_, .engine = engine_->engine_pid(), .broker = engine_->broker_pid()};
  for (const auto& resident : residents_) {
    const auto trade = resident->order().trade;
    const bool attaches = trade != Trade::streamer && trade != Trade::lessee;  // streams need no attachment
    all.residents.push_back(resident->pid());
    all.residents_attached += attaches ? 1 : 0;
  }
  return all;
}

// Both are of the same authority; the hosts do not ask for it.
void World::write_certificate(const std::string& name) const {
  constexpr auto kReplace = std::filesystem::copy_options::overwrite_existing;
  for (const std::string end : {".pem", ".key"}) {
    std::filesystem::copy_file(host::certificate_file(name + end), folder_.path("certificate" + end), kReplace);
  }
}

void World::refresh(const std::string& what) {
  std::ignore = folder_.add(config_.groups[0].name + ".json", test::config_text(config_), 0644);
  const auto done = test::run_tlsmux("refresh --control-socket " + config_.engine.control_socket);
  CHECK_MESSAGE(done.exit_code == 0, what, ": ", done.text);
}

}  // namespace tlsmux::soak
