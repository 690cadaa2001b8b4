#include "engine/shard/status_board.hpp"

#include <algorithm>

#include "config/made_upstreams.hpp"
#include "engine/ports/port_rows.hpp"
#include "shm/assert.hpp"
#include "shm/control_protocol.hpp"
#include "shm/row.hpp"

namespace tlsmux::engine {
namespace {

constexpr std::uint32_t kSpareEndpoints = 64;

std::vector<std::uint32_t> upstreams_of(const config::Config& config, const std::string& group) {
  std::vector<std::uint32_t> upstreams;
  for (std::uint32_t i = 0; i < config.upstreams.size(); ++i) {
    const auto& upstream = config.upstreams[i];
    const bool is_removed = upstream.name.empty();
    if (!is_removed && std::ranges::find(upstream.groups, group) != upstream.groups.end()) upstreams.push_back(i);
  }
  return upstreams;
}

// A shard's own rows. Empty ones are left for what a refresh of the configuration may add.
shm::GroupTables tables_of_shard(const config::Config& config, const config::GroupSettings& group,
                                 std::uint32_t shard) {
  shm::GroupTables tables{
      .clients = group.memory.clients_max,
      .sessions = mux::spare_session_places(config),
      .endpoints = kSpareEndpoints + config::share_of_made(config::room_for_made(config), config.engine.shards)};
  for (const auto upstream : upstreams_of(config, group.name)) {
    if (shard_of(upstream, config.engine.shards) != shard) continue;
    tables.sessions += mux::session_places(config.upstreams[upstream]);
    tables.endpoints += static_cast<std::uint32_t>(config.upstreams[upstream].endpoints.size());
  }
  return tables;
}

// A shard's rows are behind those of the shards before it.
shm::GroupTables tables_of_shards(const config::Config& config, const config::GroupSettings& group,
                                  std::uint32_t shards) {
  shm::GroupTables tables;
  for (std::uint32_t shard = 0; shard < shards; ++shard) {
    const auto own = tables_of_shard(config, group, shard);
    tables.clients += own.clients;
    tables.sessions += own.sessions;
    tables.endpoints += own.endpoints;
  }
  return tables;
}

}  // namespace

std::uint32_t spare_upstream_rows(const config::Config& config) {
  return kSpareUpstreamRows + config::room_for_made(config).upstreams;
}

shm::GroupTables group_tables(const config::Config& config, std::size_t group) {
  const auto& settings = config.groups[group];
  auto tables = tables_of_shards(config, settings, config.engine.shards);
  tables.upstreams =
      static_cast<std::uint32_t>(upstreams_of(config, settings.name).size()) + spare_upstream_rows(config);
  const auto of_ports = port_rows_made(settings);
  tables.port_rules = of_ports.rules;
  tables.ports = of_ports.ports;
  tables.port_denials = kPortDenialRows;
  tables.port_summaries = 1;
  return tables;
}

StatusBoard::StatusBoard(const config::Config& config, std::span<const shm::GroupPart> parts,
                         std::int64_t wall_offset_s, Share share)
    : share_(std::move(share)), shards_(config.engine.shards), wall_offset_s_(wall_offset_s) {
  TMX_ASSERT(parts.size() == config.groups.size());
  for (const auto& part : parts) add(config, {.part = part});
}

void StatusBoard::add(const config::Config& config, Group group) {
  const auto& settings = config.groups[groups_.size()];
  group.upstreams = upstreams_of(config, settings.name);
  TMX_ASSERT(group.upstreams.size() <= group.part.upstreams().size());
  group.hidden.resize(group.upstreams.size());
  group.client_rows.resize(settings.memory.clients_max);
  const auto before = tables_of_shards(config, settings, share_.shard);
  const auto own = tables_of_shard(config, settings, share_.shard);
  group.clients = group.part.clients().subspan(before.clients, own.clients);
  group.sessions = group.part.sessions().subspan(before.sessions, own.sessions);
  group.endpoints = group.part.endpoints().subspan(before.endpoints, own.endpoints);
  group.first_endpoint = before.endpoints;
  groups_.push_back(std::move(group));
}

void StatusBoard::add_group(const config::Config& config, ApplyConfig::Group group) {
  add(config, {.part = group.part, .memory = std::move(group.memory)});
  show_state(groups_.back(), share_.vitals->state());
}

void StatusBoard::remove_group(std::uint32_t group) {
  groups_[group].part.header().state.store(shm::EngineState::stopped, std::memory_order_relaxed);
  groups_[group] = {.part = {}, .is_removed = true};
}

std::optional<std::uint32_t> StatusBoard::upstream_row(std::uint32_t group, std::uint32_t upstream) const {
  const auto& rows = groups_[group].upstreams;
  const auto found = std::ranges::find(rows, upstream);
  if (found == rows.end()) return std::nullopt;
  const auto row = static_cast<std::uint32_t>(found - rows.begin());
  return groups_[group].hidden[row] ? std::nullopt : std::optional(row);
}

void StatusBoard::set_groups(std::uint32_t upstream, const std::vector<bool>& groups) {
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    if (groups_[i].is_removed) continue;
    auto& group = groups_[i];
    const auto row = static_cast<std::size_t>(std::ranges::find(group.upstreams, upstream) - group.upstreams.begin());
    if (row < group.upstreams.size()) {
      group.hidden[row] = !groups[i];
    } else if (groups[i]) {
      TMX_ASSERT(row < group.part.upstreams().size());
      group.upstreams.push_back(upstream);
      group.hidden.push_back(false);
    }
  }
}

void StatusBoard::set_state(shm::EngineState state) {
  const auto shown = share_.vitals->advance(share_.shard, state);
  for (const auto& group : groups_) {
    if (!group.is_removed) show_state(group, shown);
  }
}

// It only ever advances: another shard may have shown a later one meanwhile.
void StatusBoard::show_state(const Group& group, shm::EngineState state) const {
  auto& shown = group.part.header().state;
  for (auto before = shown.load(); before < state && !shown.compare_exchange_weak(before, state);) {
  }
}

void StatusBoard::add_client(Client& client, std::uint64_t now_ns) {
  if (groups_[client.group].is_removed) return;  // it was on its way in, and is about to be dismissed
  auto& rows = groups_[client.group].client_rows;
  const auto free = std::ranges::find(rows, false);
  TMX_ASSERT(free != rows.end());
  *free = true;
  client.row = static_cast<std::uint32_t>(free - rows.begin());
  client.since_s = wall_s(now_ns);
  write_client(client);
}

void StatusBoard::remove_client(const Client& client) {
  auto& group = groups_[client.group];
  if (group.is_removed) return;
  group.client_rows[client.row] = false;
  shm::write_row(group.clients[client.row], shm::ClientRow{});
}

std::uint64_t StatusBoard::publish(mux::Multiplexer& multiplexer, ClientTable& clients, Notices& notices,
                                   streams::Streams& streams, std::uint64_t now_ns) {
  if (now_ns - written_ns_ < kIntervalNs) return written_ns_ + kIntervalNs;
  written_ns_ = now_ns;
  write_upstreams(multiplexer, notices, streams);
  for (const auto& client : clients.all()) {
    if (client != nullptr && std::exchange(client->changed, false)) write_client(*client);
  }
  const auto heartbeat_ns = share_.vitals->beat(share_.shard, now_ns);
  for (const auto& group : groups_) {
    if (share_.shard != 0 || group.is_removed) continue;
    group.part.header().heartbeat_ns.store(heartbeat_ns, std::memory_order_relaxed);
  }
  return 0;
}

void StatusBoard::publish_errors(mux::Multiplexer& multiplexer, Notices& notices, streams::Streams& streams) {
  auto latest_ns = errors_shown_ns_;
  for (const auto& upstream : multiplexer.upstreams()) latest_ns = std::max(latest_ns, upstream->last_error_ns);
  if (std::exchange(errors_shown_ns_, latest_ns) != latest_ns) write_upstreams(multiplexer, notices, streams);
}

void StatusBoard::write_client(Client& client) {
  if (groups_[client.group].is_removed) return;
  shm::ClientRow row{};
  row.pid = client.pid;
  row.client_id = client.id;
  row.uid = client.uid;
  row.since_s = client.since_s;
  row.requests = client.requests;
  shm::set_text(row.program, client.program);
  for (const auto& channel : client.channels) {
    row.channels += channel.is_open ? 1 : 0;
    row.in_flight += channel.in_flight;
    row.slots_held += 2 * (channel.in_flight + channel.lent);
  }
  shm::write_row(groups_[client.group].clients[client.row], row);
}

void StatusBoard::write_upstreams(mux::Multiplexer& multiplexer, Notices& notices, streams::Streams& streams) {
  changed_.resize(multiplexer.upstreams().size());
  for (std::uint32_t i = 0; i < changed_.size(); ++i) {
    const bool has_streams_changed = streams.take_changed(i);
    changed_[i] = multiplexer.take_changed(i) || has_streams_changed;
  }
  for (std::uint32_t number = 0; number < groups_.size(); ++number) {
    auto& group = groups_[number];
    bool any = false;
    for (std::size_t row_number = 0; row_number < group.upstreams.size(); ++row_number) {
      const Lane lane{.group = number, .upstream = group.upstreams[row_number]};
      if (!is_own(lane.upstream)) continue;
      const bool has_news = notices.take_changed(lane);
      if (!changed_[lane.upstream] && !has_news) continue;
      any = true;
      const auto& upstream = *multiplexer.upstreams()[group.upstreams[row_number]];
      if (!is_shown(group, row_number, upstream)) {
        shm::write_row(group.part.upstreams()[row_number], shm::UpstreamRow{});
        continue;
      }
      const auto& counters = upstream.groups_counters[number];
      auto& row = *scratch_;
      row.in_use = 1;
      shm::set_text(row.name, upstream.settings->name);
      row.sessions_wanted = upstream.draining ? 0 : upstream.wanted;
      row.sessions_ready = static_cast<std::uint32_t>(std::ranges::count_if(upstream.sessions, &mux::Session::is_up));
      const auto leased = std::ranges::count_if(upstream.sessions, &mux::Session::is_leased);
      row.in_flight = upstream.in_flight + static_cast<std::uint32_t>(leased);
      row.queued = static_cast<std::uint32_t>(upstream.queue.size() + upstream.lease_queue.size());
      row.handshakes_full = upstream.handshakes_full;
      row.handshakes_resumed = upstream.handshakes_resumed;
      row.unsolicited = upstream.unsolicited;
      row.keep_alives = upstream.keep_alives;
      row.draining = upstream.draining ? 1 : 0;
      row.late = counters.late;
      row.answered = counters.answered;
      row.not_sent = counters.not_sent;
      row.maybe_sent = counters.maybe_sent;
      row.latency = counters.latency;
      row.last_error_s = upstream.last_error_ns == 0 ? 0 : wall_s(upstream.last_error_ns);
      row.last_error_reason = upstream.last_error_reason;
      shm::set_text(row.last_error, upstream.last_error);
      write_notices(row, lane, notices);
      const auto& of_streams = streams.counts(lane.upstream);
      row.streams = of_streams.open;
      row.streams_lost = of_streams.lost + of_streams.refused;
      shm::write_row(group.part.upstreams()[row_number], row);
    }
    if (!any) continue;
    write_sessions(group, multiplexer);
    write_endpoints(group, multiplexer);
  }
}

// What is removed is shown until its last session has ended.
bool StatusBoard::is_shown(const Group& group, std::size_t row, const mux::Upstream& upstream) {
  const bool has_ended = upstream.removed && std::ranges::all_of(upstream.sessions, [](const mux::Session* session) {
                           return session->state == shm::SessionState::none;
                         });
  return !group.hidden[row] && !has_ended;
}

void StatusBoard::write_notices(shm::UpstreamRow& row, Lane lane, const Notices& notices) {
  const auto orphans = notices.orphans(lane);
  row.subscribers = notices.subscribers(lane);
  row.orphans_held = orphans.held;
  row.orphans_waiting = orphans.waiting;
  row.orphans_dropped = orphans.dropped;
  row.late_dropped = notices.counts(lane).late_dropped;
  row.unsolicited_dropped = notices.counts(lane).unsolicited_dropped;
}

void StatusBoard::write_sessions(const Group& group, const mux::Multiplexer& multiplexer) const {
  const auto rows = group.sessions;
  std::size_t row_number = 0;
  std::uint32_t first_endpoint = group.first_endpoint;
  for (std::uint32_t upstream_row = 0; upstream_row < group.upstreams.size(); ++upstream_row) {
    if (!is_own(group.upstreams[upstream_row])) continue;
    const auto& upstream = *multiplexer.upstreams()[group.upstreams[upstream_row]];
    const bool shown = is_shown(group, upstream_row, upstream);
    for (const auto* each : upstream.sessions) {
      if (row_number == rows.size()) return;  // a refresh has added more than there is room for
      const auto& session = *each;
      shm::SessionRow row{};
      row.upstream = upstream_row;
      row.state = session.closing ? shm::SessionState::draining : session.state;
      row.in_flight = static_cast<std::uint32_t>(session.in_flight.size()) + (session.is_leased() ? 1 : 0);
      row.since_s = wall_s(session.since_ns);
      row.certificate_expires_s = session.facts.certificate_expires_s;
      row.requests = session.requests;
      row.resumed = session.facts.resumed ? 1 : 0;
      row.in_use = !shown || session.state == shm::SessionState::none ? 0 : 1;
      row.endpoint = first_endpoint + session.endpoint;
      row.heard_s = session.heard_ns == 0 ? 0 : wall_s(session.heard_ns);
      row.heartbeats_missed = session.heartbeats_missed;
      shm::set_text(row.address, session.address.text());
      shm::set_text(row.tls_version, session.facts.version);
      shm::set_text(row.suite, session.facts.suite);
      shm::write_row(rows[row_number++], row);
    }
    first_endpoint += static_cast<std::uint32_t>(upstream.endpoints.size());
  }
}

void StatusBoard::write_endpoints(const Group& group, const mux::Multiplexer& multiplexer) const {
  const auto rows = group.endpoints;
  std::size_t row_number = 0;
  for (std::uint32_t upstream_row = 0; upstream_row < group.upstreams.size(); ++upstream_row) {
    if (!is_own(group.upstreams[upstream_row])) continue;
    const auto& upstream = *multiplexer.upstreams()[group.upstreams[upstream_row]];
    const bool shown = is_shown(group, upstream_row, upstream);
    for (std::uint32_t number = 0; number < upstream.endpoints.size(); ++number) {
      if (row_number == rows.size()) return;  // a refresh has added more than there is room for
      const auto& endpoint = upstream.endpoints[number];
      shm::EndpointRow row{};
      row.in_use = shown ? 1 : 0;
      row.upstream = upstream_row;
      row.priority = endpoint.settings.priority;
      row.weight = endpoint.settings.weight;
      row.sessions = static_cast<std::uint32_t>(std::ranges::count_if(
          upstream.sessions, [&](const auto* session) { return session->is_up() && session->endpoint == number; }));
      row.is_out = endpoint.is_out() ? 1 : 0;
      row.failures = endpoint.fruitless;
      row.retry_s = endpoint.is_out() ? wall_s(endpoint.retry_ns) : 0;
      row.last_error_reason = endpoint.last_error_reason;
      shm::set_text(row.address, endpoint.settings.host + ":" + std::to_string(endpoint.settings.port));
      shm::write_row(rows[row_number++], row);
    }
  }
  while (row_number < rows.size() && rows[row_number].in_use != 0)
    shm::write_row(rows[row_number++], shm::EndpointRow{});
}

}  // namespace tlsmux::engine
