#include "tests/wrapper_system/world.hpp"

#include <doctest/doctest.h>

#include "tests/host/host_process.hpp"
#include "tests/system/engine_config.hpp"

namespace tlsmux::test {
namespace {

void set_protocol(config::UpstreamSettings& upstream, Protocol protocol) {
  auto& framing = upstream.framing;
  if (protocol == Protocol::messages) {
    framing.length_encoding = config::LengthEncoding::ascii;
    framing.length_bytes = 4;
    framing.message_bytes_max = 9999;
    set_keyed(upstream);
    return;
  }
  framing.kind = protocol == Protocol::http ? config::FramingKind::http1 : config::FramingKind::none;
  upstream.streams.kind = config::StreamKind::leased;
  upstream.streams.idle_max_ms = 0;
  if (protocol == Protocol::lines) upstream.streams.reuse = config::StreamReuse::always;
}

}  // namespace

World::World(const std::vector<WorldUpstream>& upstreams, const EngineLaunch& launch)
    : config_(engine_config(folder_, {})) {
  const auto model = config_.upstreams[0];
  config_.upstreams.clear();
  std::size_t sessions = 0;
  for (const auto& wanted : upstreams) {
    const auto& host = hosts_.emplace_back(std::make_unique<ExchangeHost>(wanted.protocol));
    protocols_.push_back(wanted.protocol);
    ports_.push_back(host->port());
    auto& upstream = config_.upstreams.emplace_back(model);
    upstream.name = "upstream-" + std::to_string(hosts_.size());
    upstream.endpoints = {{.host = "127.0.0.1", .port = host->port()}};
    set_protocol(upstream, wanted.protocol);
    upstream.sessions_max = 1;
    if (wanted.change) wanted.change(upstream);
    sessions += upstream.sessions;
    config_.ssl_wrapper.rules.push_back(
        {.address = "127.0.0.1", .name = {}, .port = host->port(), .upstream = upstream.name});
  }
  config_.groups[0].memory.slot_bytes = 9999;
  engine_.emplace(folder_, config_, launch);
  engine_->await_sessions(sessions);
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    hosts_[i]->await([&](const HostCounts& now) { return now.handshakes == config_.upstreams[i].sessions; });
  }
}

World::~World() {
  if (engine_) CHECK(engine_->stop() == 0);
}

void World::start_host_again() { hosts_[0] = std::make_unique<ExchangeHost>(protocols_[0], ports_[0]); }

std::vector<std::string> World::environment(const std::string& mode) const {
  if (mode.empty()) return {};
  return {"LD_PRELOAD=" TLSMUX_SSL_LIBRARY, "TLSMUX_CONTROL_SOCKET=" + config_.engine.control_socket,
          "TLSMUX_SSL=" + mode};
}

Calls World::connecting(std::size_t index) const {
  return {"connect", std::to_string(ports_[index]),    "ssl",    "name",     "localhost", "host", "localhost",
          "trust",   host::certificate_file("ca.pem"), "verify", "handshake"};
}

std::vector<std::string> World::script(const Calls& calls, std::size_t index) const {
  return Calls{TLSMUX_SSL_SCRIPT} + connecting(index) + calls;
}

std::vector<std::string> World::exchange(const std::string& name, int exchanges, std::size_t index) const {
  const bool is_http = protocols_[index] == Protocol::http;
  return {TLSMUX_EXCHANGE_PROGRAM,
          is_http ? "http" : "messages",
          std::to_string(ports_[index]),
          host::certificate_file("ca.pem"),
          name,
          std::to_string(exchanges)};
}

void World::check_exchange(const std::string& name, int exchanges, std::size_t index) const {
  Program program(exchange(name, exchanges, index), environment("shared"));
  const int code = program.wait();
  CHECK_MESSAGE(code == 0, program.errors());
}

}  // namespace tlsmux::test
