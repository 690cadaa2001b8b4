#include "tests/simulation/scenario.hpp"

#include <algorithm>
#include <array>

#include "config/leases.hpp"
#include "tests/simulation/message.hpp"

namespace tlsmux::simulation {
namespace {

std::uint32_t number(Random& random, std::uint64_t lowest, std::uint64_t highest) {
  return static_cast<std::uint32_t>(random.between(lowest, highest));
}

config::FramingSettings make_framing(Random& random, std::uint32_t message_bytes_max) {
  constexpr std::array<config::FramingSettings, 4> kForms{{
      {.length_encoding = config::LengthEncoding::binary_be, .length_bytes = 2, .message_bytes_max = 0},
      {.length_encoding = config::LengthEncoding::binary_be, .length_bytes = 4, .message_bytes_max = 0},
      {.length_encoding = config::LengthEncoding::ascii, .length_bytes = 5, .message_bytes_max = 0},
      {.length_encoding = config::LengthEncoding::ascii,
       .length_bytes = 6,
       .length_includes_itself = true,
       .message_bytes_max = 0},
  }};
  auto framing = random.pick(kForms);
  framing.message_bytes_max = message_bytes_max;
  return framing;
}

config::CorrelationSettings make_correlation(Random& random) {
  if (random.below(2) == 0) return {};
  return {.kind = config::CorrelationKind::bytes,
          .offset = number(random, 0, 12),
          .length = static_cast<std::uint32_t>(kKeyBytes),
          .mask = {}};
}

std::vector<config::EndpointSettings> make_endpoints(Random& random) {
  std::vector<config::EndpointSettings> endpoints(random.between(1, 3));
  for (auto& endpoint : endpoints) {
    endpoint.host = random.below(2) == 0 ? "127.0.0.1" : "host.example";
    endpoint.port = static_cast<std::uint16_t>(random.between(1, 60'000));
    endpoint.priority = number(random, 0, 1);
    endpoint.weight = number(random, 1, 3);
  }
  return endpoints;
}

config::StreamSettings make_streams(Random& random) {
  config::StreamSettings streams;
  if (random.below(2) == 0) streams.order = config::StreamOrder::as_asked;
  constexpr std::array kReuses{config::StreamReuse::at_boundary, config::StreamReuse::at_boundary,
                               config::StreamReuse::always, config::StreamReuse::never};
  streams.reuse = random.pick(kReuses);
  streams.open_max = number(random, 1, 8);
  streams.in_flight_max = number(random, 1, 6);
  streams.buffer_bytes = random.below(2) == 0 ? number(random, 1, 200) : number(random, 200, 5'000);
  streams.wait_ms = number(random, 1, 200);
  streams.idle_max_ms = random.below(3) == 0 ? 0 : number(random, 1, 100);
  return streams;
}

config::UpstreamSettings make_upstream(Random& random, std::uint32_t slot_bytes) {
  config::UpstreamSettings upstream;
  upstream.endpoints = make_endpoints(random);
  upstream.sessions = number(random, 1, 3);
  if (random.below(2) == 0) upstream.sessions_max = upstream.sessions + number(random, 1, 2);
  constexpr std::array kChoices{config::SessionChoice::least_in_flight, config::SessionChoice::round_robin,
                                config::SessionChoice::primary_standby};
  upstream.session_choice = random.pick(kChoices);
  upstream.handshakes_max = number(random, 1, 3);
  upstream.in_flight_max = number(random, 1, 8);
  upstream.queue_max = number(random, 1, 12);
  if (random.below(4) == 0) upstream.queue_max_of_client = number(random, 1, 6);
  if (random.below(4) == 0) upstream.queue_max_of_group = number(random, 1, 8);
  if (random.below(3) == 0) upstream.rotation.messages_max = number(random, 1, 40);
  if (random.below(6) == 0) upstream.rotation.age_max_s = 1;
  upstream.correlation = make_correlation(random);
  upstream.framing = make_framing(random, number(random, slot_bytes / 2, slot_bytes));
  upstream.timeouts = {.connect_ms = number(random, 5, 50),
                       .handshake_ms = number(random, 5, 50),
                       .request_ms = number(random, 20, 200),
                       .late_answer_ms = number(random, 1, 200),
                       .write_stall_ms = number(random, 5, 50),
                       .silence_ms = random.below(3) == 0 ? number(random, 20, 100) : 0,
                       .session_idle_ms = number(random, 1, 100),
                       .drain_ms = number(random, 5, 100)};
  upstream.streams = make_streams(random);
  upstream.backoff = {
      .initial_ms = number(random, 1, 10), .max_ms = number(random, 10, 50), .jitter_percent = number(random, 0, 50)};
  return upstream;
}

// Its sessions are leased: no requests, and messages of another length than those in slots.
void make_leased(Random& random, config::UpstreamSettings& upstream) {
  upstream.streams.kind = config::StreamKind::leased;
  upstream.correlation = {};
  upstream.timeouts.silence_ms = 0;
  upstream.sessions = number(random, 0, 2);
  upstream.sessions_max = upstream.sessions + number(random, upstream.sessions == 0 ? 1 : 0, 2);
  if (random.below(4) == 0) {  // enough for each of two groups to have a part of them
    upstream.sessions = 4;
    upstream.sessions_max = number(random, 4, 6);
    upstream.streams.open_max = 8;
  }
  switch (random.below(3)) {
    case 0: upstream.framing = {.kind = config::FramingKind::http1}; break;
    case 1: upstream.framing = {.kind = config::FramingKind::none}; break;
    default: break;
  }
}

// Rings and queues so long that the engine takes more than one turn for what a client publishes at once.
void make_wide(Random& random, config::Config& config) {
  config.engine.in_flight_max = 2000;
  for (auto& group : config.groups) group.memory.slots_per_channel = 2 * number(random, 300, 600);
  for (auto& upstream : config.upstreams) {
    upstream.queue_max = number(random, 200, 1000);
    upstream.in_flight_max = number(random, 100, 500);
  }
}

}  // namespace

config::Config make_scenario(Random& random) {
  config::Config config;
  config.engine.in_flight_max = number(random, 4, 40);
  // Most messages lie in one TLS record; some in three.
  const std::uint32_t slot_bytes = random.below(10) == 0 ? 40'000 : number(random, 2, 20) * 64;
  const auto groups = random.between(1, 2);
  for (std::size_t i = 0; i < groups; ++i) {
    config.groups.push_back({.name = "group" + std::to_string(i),
                             .users = {},
                             .unix_groups = {},
                             .memory = {.clients_max = number(random, 2, 5),
                                        .channels_per_client = number(random, 1, 3),
                                        .slots_per_channel = 2 * number(random, 1, 8),
                                        .slot_bytes = slot_bytes},
                             .orphans = {.count_max = random.below(4) == 0 ? number(random, 0, 10) : 10'000}});
  }
  const auto upstreams = random.between(1, 3);
  for (std::size_t i = 0; i < upstreams; ++i) {
    auto upstream = make_upstream(random, slot_bytes);
    upstream.name = "upstream" + std::to_string(i);
    for (const auto& group : config.groups) upstream.groups.push_back(group.name);
    upstream.subscriber_group = random.pick(upstream.groups);
    config.upstreams.push_back(std::move(upstream));
  }
  if (slot_bytes < 300 && random.below(10) == 0) make_wide(random, config);
  // Clients with channels need one upstream that takes requests.
  for (std::size_t i = 1; i < upstreams; ++i) {
    if (random.below(2) == 0) make_leased(random, config.upstreams[i]);
  }
  return config;
}

config::UpstreamSettings make_change(Random& random, const config::UpstreamSettings& original,
                                     config::UpstreamSettings present) {
  const auto other = make_upstream(random, 2);
  const auto sessions_most = std::max(original.sessions, original.sessions_max);
  const bool is_leased = config::leases_sessions(present);
  const std::uint32_t sessions_least = is_leased ? 0 : 1;
  present.sessions = number(random, sessions_least, sessions_most);
  present.sessions_max = number(random, std::max(present.sessions, 1U), sessions_most);
  present.session_choice = other.session_choice;
  present.in_flight_max += number(random, 0, 2);
  present.queue_max += number(random, 0, 2);
  present.handshakes_max += number(random, 0, 1);
  present.timeouts = other.timeouts;
  if (is_leased) present.timeouts.silence_ms = 0;
  present.streams.reuse = other.streams.reuse;
  present.streams.wait_ms = other.streams.wait_ms;
  present.streams.idle_max_ms = other.streams.idle_max_ms;
  present.streams.open_max += number(random, 0, 2);
  present.streams.in_flight_max += number(random, 0, 2);
  present.streams.buffer_bytes += number(random, 0, 200);
  present.backoff = other.backoff;
  present.rotation = other.rotation;
  present.endpoints = original.endpoints;
  present.groups = original.groups;
  if (random.below(4) == 0) {
    const auto group = random.pick(original.groups);
    if (group != original.subscriber_group) std::erase(present.groups, group);
  }
  const auto first = static_cast<std::ptrdiff_t>(number(random, 0, 2) % present.endpoints.size());
  std::ranges::rotate(present.endpoints, present.endpoints.begin() + first);
  if (present.endpoints.size() > 1 && random.below(2) == 0) present.endpoints.pop_back();
  for (auto& endpoint : present.endpoints) endpoint.priority = number(random, 0, 1);
  return present;
}

void change_kind(Random& random, config::UpstreamSettings& present) {
  const bool is_leased = !config::leases_sessions(present);
  present.streams.kind = is_leased ? config::StreamKind::leased : config::StreamKind::messages;
  present.framing = make_framing(random, present.framing.message_bytes_max);
  if (is_leased) present.timeouts.silence_ms = 0;
  if (!is_leased) present.sessions = std::max(present.sessions, 1U);
}

void change_correlation(const config::UpstreamSettings& original, config::UpstreamSettings& present) {
  const bool in_order = present.correlation.kind == config::CorrelationKind::fifo;
  present.correlation = in_order ? original.correlation : config::CorrelationSettings{};
}

}  // namespace tlsmux::simulation
