#include "tests/mux/mux_rig.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>

namespace tlsmux::test {

using engine::mux::Multiplexer;
using Stage = FakeNetwork::Stage;

namespace {

std::size_t session_count(const config::Config& config) {
  std::size_t count = engine::mux::kSpareSessionPlaces;
  for (const auto& upstream : config.upstreams) count += engine::mux::session_places(upstream);
  return count;
}

}  // namespace

config::Config fifo_config() {
  config::Config config;
  config.engine.in_flight_max = 64;
  config.groups = {{.name = "group", .users = {}, .unix_groups = {}, .memory = {}, .orphans = {}}};
  config::UpstreamSettings upstream;
  upstream.name = "host";
  upstream.groups = {"group"};
  upstream.endpoints = {{.host = "127.0.0.1", .port = 9000}};
  upstream.sessions = 1;
  upstream.framing.message_bytes_max = 50'000;
  config.upstreams = {upstream};
  return config;
}

config::Config keyed_config() {
  auto config = fifo_config();
  config.upstreams[0].correlation = {
      .kind = config::CorrelationKind::bytes, .offset = 0, .length = 4, .mask = {}, .iso8583 = {}};
  return config;
}

config::Config for_two_groups(config::Config config) {
  config.groups.push_back(config.groups[0]);
  config.groups[1].name = "other";
  config.upstreams[0].groups.emplace_back("other");
  return config;
}

MuxRig::MuxRig(config::Config settings, std::size_t send_memory_bytes, const std::vector<std::uint16_t>& source_ports,
               MuxListeners listeners)
    : config(std::move(settings)),
      network(session_count(config), send_memory_bytes),
      mux(config,
          {network, workers, listeners.callers != nullptr ? *listeners.callers : callers, notices, events,
           trace_numbers, listeners.holders != nullptr ? *listeners.holders : holders},
          make_tls_clients(), 1),
      hosts_(session_count(config)) {
  mux.set_time(now_ns);
  mux.set_source_ports(0, source_ports);
  mux.start();
}

std::vector<std::unique_ptr<engine::tls::TlsClient>> MuxRig::make_tls_clients() {
  std::vector<std::unique_ptr<engine::tls::TlsClient>> clients;
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    auto client = std::make_unique<PlainTlsClient>();
    tls_clients.push_back(client.get());
    clients.push_back(std::move(client));
  }
  return clients;
}

void MuxRig::advance_ns(std::uint64_t ns) {
  now_ns += ns;
  mux.set_time(now_ns);
  mux.tick();
  mux.flush();
}

void MuxRig::advance_to_due() {
  REQUIRE(mux.next_due_ns() != 0);
  advance_ns(mux.next_due_ns() > now_ns ? mux.next_due_ns() - now_ns : 0);
}

std::uint64_t MuxRig::submit(std::string_view message, std::uint32_t timeout_ms, std::uint32_t upstream_index) {
  return submit({.upstream = upstream_index, .caller = {}, .timeout_ms = timeout_ms}, message);
}

std::uint64_t MuxRig::submit_as(std::uint32_t client, std::uint32_t group, std::string_view message) {
  return submit({.group = group, .client = client, .caller = {}}, message);
}

std::uint64_t MuxRig::submit(const engine::mux::NewRequest& request, std::string_view message) {
  auto complete = request;
  complete.caller = callers.ask(to_bytes(message));
  complete.length = static_cast<std::uint32_t>(message.size());
  indexes_.push_back(mux.submit(complete));
  return complete.caller.tag;
}

std::uint64_t MuxRig::ask(std::string_view message, std::uint32_t timeout_ms, std::uint32_t upstream_index) {
  const auto tag = submit(message, timeout_ms, upstream_index);
  mux.flush();
  return tag;
}

std::uint64_t MuxRig::reply(std::uint64_t notice, std::string_view message, std::uint32_t timeout_ms) {
  const auto caller = callers.ask(to_bytes(message));
  indexes_.push_back(mux.reply({.caller = caller,
                                .length = static_cast<std::uint32_t>(message.size()),
                                .timeout_ms = timeout_ms,
                                .notice = notice}));
  mux.flush();
  return caller.tag;
}

void MuxRig::orphan(std::uint64_t tag, std::uint64_t keeper) {
  mux.orphan(indexes_[tag], {.channel = engine::mux::kOrphanChannel, .generation = keeper, .tag = tag});
}

engine::mux::StreamId MuxRig::lease(std::uint32_t group, std::uint32_t wait_ms, std::string_view alpn) {
  const auto stream = holders.add();
  mux.leases().ask({.group = group, .stream = stream, .wait_ms = wait_ms, .alpn = alpn});
  mux.flush();
  return stream;
}

std::size_t MuxRig::write(engine::mux::StreamId stream, std::string_view bytes) {
  const auto taken = mux.leases().write(stream, std::as_bytes(std::span(bytes)));
  mux.flush();
  return taken;
}

void MuxRig::give_back(engine::mux::StreamId stream) {
  mux.leases().give_back(stream);
  mux.flush();
}

std::size_t MuxRig::session_of(engine::mux::StreamId stream) const {
  for (const auto& session : mux.sessions()) {
    if (session.lease.holder == stream) return session.id.index;
  }
  return engine::mux::kNone;
}

void MuxRig::connect(std::size_t session, int error) {
  auto& connection = network[session];
  REQUIRE(connection.stage == Stage::connecting);
  connection.stage = Stage::up;
  hosts_[session] = {};
  mux.connected(connection.id, error);
}

void MuxRig::step_handshake(std::size_t session) {
  const auto step =
      std::ranges::find_if(workers.steps, [&](const auto& one) { return one.session == network[session].id; });
  REQUIRE(step != workers.steps.end());
  auto job = std::move(*step);
  workers.steps.erase(step);
  std::vector<std::byte> output;
  const auto result = job.tls->handshake(job.received, output);
  mux.handshake_stepped(job.session, std::move(job.tls), output, result);
  accept_all(session);
}

void MuxRig::bring_up(std::size_t session) {
  connect(session);
  step_handshake(session);
  host_reads(session);
  receive(session, std::exchange(hosts_[session].output, {}));
  step_handshake(session);
  mux.flush();
  REQUIRE(mux.sessions()[session].is_open());
}

void MuxRig::bring_up_all() {
  for (std::size_t i = 0; i < network.size(); ++i) {
    if (network[i].stage == Stage::connecting) bring_up(i);
  }
}

void MuxRig::accept(std::size_t session, std::size_t bytes) {
  auto& connection = network[session];
  REQUIRE(connection.sending.has_value());
  REQUIRE(bytes >= 1);
  REQUIRE(bytes <= connection.sending->size());
  const auto accepted = connection.sending->first(bytes);
  connection.wire.insert(connection.wire.end(), accepted.begin(), accepted.end());
  connection.sending.reset();
  mux.sent(connection.id, static_cast<std::int64_t>(bytes));
}

void MuxRig::accept_all(std::size_t session) {
  while (network[session].sending) accept(session, network[session].sending->size());
}

void MuxRig::fail_send(std::size_t session, int error) {
  auto& connection = network[session];
  REQUIRE(connection.sending.has_value());
  connection.sending.reset();
  mux.sent(connection.id, -error);
}

void MuxRig::finish_close(std::size_t session, std::size_t accepted) {
  auto& connection = network[session];
  REQUIRE(connection.stage == Stage::closing);
  if (accepted > 0) {
    accept(session, accepted);
  } else if (connection.sending) {
    fail_send(session, ECANCELED);
  }
  connection.stage = Stage::none;
  mux.closed(connection.id);
}

void MuxRig::lose(std::size_t session, int error) {
  mux.ended(network[session].id, error);
  finish_close(session);
}

void MuxRig::host_reads(std::size_t session) {
  auto& host = hosts_[session];
  const auto fresh = std::span(network[session].wire).subspan(host.read);
  host.read += fresh.size();
  host.tls.receive(fresh, host.plaintext, host.output);
}

std::vector<std::string> MuxRig::heard(std::size_t session) {
  host_reads(session);
  auto& plaintext = hosts_[session].plaintext;
  std::vector<std::string> messages;
  std::size_t at = 0;
  while (plaintext.size() - at >= 2) {
    const auto length =
        std::to_integer<std::size_t>(plaintext[at]) << 8 | std::to_integer<std::size_t>(plaintext[at + 1]);
    if (plaintext.size() - at - 2 < length) break;
    messages.push_back(to_text(std::span(plaintext).subspan(at + 2, length)));
    at += 2 + length;
  }
  plaintext.erase(plaintext.begin(), plaintext.begin() + static_cast<std::ptrdiff_t>(at));
  return messages;
}

std::string MuxRig::heard_raw(std::size_t session) {
  host_reads(session);
  const auto plaintext = std::exchange(hosts_[session].plaintext, {});
  return to_text(plaintext);
}

bool MuxRig::was_told_goodbye(std::size_t session) {
  host_reads(session);
  return hosts_[session].tls.state() == PlainTlsHost::State::closed_by_client;
}

void MuxRig::say(std::size_t session, std::string_view message) {
  auto framed = std::vector{std::byte(message.size() >> 8), std::byte(message.size())};
  const auto bytes = to_bytes(message);
  framed.insert(framed.end(), bytes.begin(), bytes.end());
  say_raw(session, framed);
}

void MuxRig::say_raw(std::size_t session, std::span<const std::byte> plaintext) {
  std::vector<std::byte> records;
  PlainTlsHost::seal(plaintext, records);
  mux.received(network[session].id, records);
}

void MuxRig::say_close_notify(std::size_t session) {
  std::vector<std::byte> records;
  PlainTlsHost::close_notify(records);
  mux.received(network[session].id, records);
}

std::size_t MuxRig::count(shm::SessionState state) const {
  return static_cast<std::size_t>(std::ranges::count(mux.sessions(), state, &engine::mux::Session::state));
}

std::size_t MuxRig::starting() const {
  return static_cast<std::size_t>(std::ranges::count_if(mux.sessions(), &engine::mux::Session::is_starting));
}

bool MuxRig::is_clean() const {
  const auto no_requests = [](const engine::mux::Session& one) { return one.in_flight.empty(); };
  const auto idle = [](const auto& one) { return one->queue.empty() && one->in_flight == 0; };
  return mux.requests_held() == 0 && std::ranges::all_of(mux.sessions(), no_requests) &&
         std::ranges::all_of(mux.upstreams(), idle);
}

}  // namespace tlsmux::test
