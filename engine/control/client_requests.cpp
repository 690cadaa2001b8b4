// What clients ask for: the handlers of ClientRegistry, one for each message.

#include <fcntl.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/control/client_registry.hpp"
#include "shm/client_part.hpp"
#include "shm/system/sealed_text.hpp"

namespace tlsmux::engine::control {
namespace {

constexpr std::size_t kUnloggedMax = 32;

std::expected<shm::UniqueFd, shm::SystemError> make_eventfd() {
  shm::UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return std::unexpected(shm::last_error("making an eventfd"));
  return fd;
}

// The same eventfd twice: one for the client, one for a shard.
std::expected<std::pair<shm::UniqueFd, shm::UniqueFd>, shm::SystemError> make_eventfd_pair() {
  auto first = make_eventfd();
  if (!first) return std::unexpected(first.error());
  shm::UniqueFd second(::fcntl(first->get(), F_DUPFD_CLOEXEC, 3));
  if (!second) return std::unexpected(shm::last_error("duplicating an eventfd"));
  return std::pair(std::move(*first), std::move(second));
}

// The engine lacks something; the client may try again.
Denial lacking(const shm::SystemError& error) { return {.error = EAGAIN, .text = error.message}; }

}  // namespace

void ClientRegistry::on_message(Connection& connection, const shm::Packet& packet) {
  shm::ControlHeader header;
  if (shm::control_header(packet, header) == nullptr) return on_unreadable(connection, packet);
  switch (header.type) {
    case shm::ControlType::attach: return dispatch(connection, packet, &ClientRegistry::on_attach);
    case shm::ControlType::mapped: return dispatch(connection, packet, &ClientRegistry::on_mapped);
    case shm::ControlType::open_channel: return dispatch(connection, packet, &ClientRegistry::on_open_channel);
    case shm::ControlType::close_channel: return dispatch(connection, packet, &ClientRegistry::on_close_channel);
    case shm::ControlType::observe: return dispatch(connection, packet, &ClientRegistry::on_observe);
    case shm::ControlType::list_groups: return dispatch(connection, packet, &ClientRegistry::on_list_groups);
    case shm::ControlType::drain_upstream: return dispatch(connection, packet, &ClientRegistry::on_drain_upstream);
    case shm::ControlType::refresh: return dispatch(connection, packet, &ClientRegistry::on_refresh);
    case shm::ControlType::claim_port: return dispatch(connection, packet, &ClientRegistry::on_claim_port);
    case shm::ControlType::release_port: return dispatch(connection, packet, &ClientRegistry::on_release_port);
    case shm::ControlType::refill_ports: return dispatch(connection, packet, &ClientRegistry::on_refill_ports);
    case shm::ControlType::open_stream: return dispatch(connection, packet, &ClientRegistry::on_open_stream);
    case shm::ControlType::match_peer: return dispatch(connection, packet, &ClientRegistry::on_match_peer);
    case shm::ControlType::announce_stream: return dispatch(connection, packet, &ClientRegistry::on_announce_stream);
    case shm::ControlType::goodbye: return dispatch(connection, packet, &ClientRegistry::on_goodbye);
    default: return detach(connection, EPROTO, "it sent a message that clients do not send");
  }
}

template <typename Message>
void ClientRegistry::dispatch(Connection& connection, const shm::Packet& packet,
                              void (ClientRegistry::*handler)(Connection&, const Message&)) {
  Message message;
  if (!shm::read_message(packet, message)) return detach(connection, EPROTO, "it sent a message of a wrong length");
  (this->*handler)(connection, message);
}

void ClientRegistry::on_unreadable(Connection& connection, const shm::Packet& packet) {
  shm::ControlHeader header;
  const bool whole = packet.bytes.size() >= sizeof header;
  if (whole) std::memcpy(&header, packet.bytes.data(), sizeof header);
  if (!whole || header.magic != shm::kControlMagic || header.version == shm::kControlVersion) {
    return detach(connection, EPROTO, "it sent what is no message of this protocol");
  }
  detach(connection, EPROTO,
         "the client library speaks control protocol " + std::to_string(header.version) + ", this engine " +
             std::to_string(shm::kControlVersion) + ": use the library that came with the engine");
}

void ClientRegistry::on_attach(Connection& connection, const shm::AttachRequest& request) {
  if (connection.stage != Stage::arrived || connection.pending != PendingRequest::none) {
    return detach(connection, EPROTO, "it attached twice, or while it waited for something else");
  }
  if (!identify(connection, shm::text_of(request.program))) return;
  std::uint32_t group = 0;
  const auto geometry = judge_attach(connection, request, group);
  if (!geometry) return refuse(connection, geometry.error());
  connection.group = group;
  if (auto prepared = prepare(connection, *geometry, group); !prepared) return refuse(connection, prepared.error());

  connection.stage = Stage::mapping;
  ++clients_[group];
  lobby_.admit(connection.id, Clock::now());
  const auto& object = settings_.groups[group];
  const shm::AttachReply reply{.header = {},
                               .client_id = connection.id,
                               .boot_id = settings_.boot_id,
                               .group_bytes = object.object_bytes,
                               .client_bytes = geometry->total_bytes(),
                               .channels = geometry->channels,
                               .slots_per_channel = geometry->slots_per_channel,
                               .slot_bytes = geometry->slot_bytes,
                               .engine_pid = settings_.engine_pid,
                               .wipe_slots = object.memory.wipe_slots ? 1U : 0U};
  const std::array descriptors{object.object.get(), connection.memory.memfd.get(), connection.doorbell.get(),
                               settings_.engine_pidfd.get()};
  if (!send(connection, reply, descriptors)) return;
  expect_message();
  // While the client maps.
  auto watched = poll_.add(connection.peer->pidfd.get(), {.source = Source::process, .id = connection.id});
  if (!watched) detach(connection, EAGAIN, watched.error().message);
}

std::expected<shm::ClientGeometry, Denial> ClientRegistry::judge_attach(const Connection& connection,
                                                                        const shm::AttachRequest& request,
                                                                        std::uint32_t& group) {
  if (auto known = check_layout(request.layout_version); !known) return std::unexpected(known.error());
  const auto found = find_group_of_member(settings_, shm::text_of(request.group), *connection.peer);
  if (!found) return std::unexpected(found.error());
  group = *found;
  if (draining_) return std::unexpected(Denial{.error = EAGAIN, .text = "the engine is stopping"});
  const auto clients_max = settings_.groups[group].memory.clients_max;
  if (clients_[group] >= clients_max) {
    return std::unexpected(Denial{.error = EAGAIN,
                                  .text = "group " + settings_.groups[group].name + " has all its " +
                                          std::to_string(clients_max) +
                                          " clients: raise its memory/clients_max in the configuration"});
  }
  return grant_memory(settings_.groups[group], request.channels);
}

// All that takes memory or descriptors, before anything counts.
std::expected<void, Denial> ClientRegistry::prepare(Connection& connection, const shm::ClientGeometry& geometry,
                                                    std::uint32_t group) {
  auto spare = spares_.take(group, geometry);
  auto memory =
      spare ? std::expected<ClientMemory, shm::SystemError>(std::move(*spare)) : create_client_memory(geometry);
  if (!memory) return std::unexpected(lacking(memory.error()));
  auto doorbell = make_eventfd();
  if (!doorbell) return std::unexpected(lacking(doorbell.error()));
  shm::format_client(memory->mapping->bytes(), geometry, settings_.boot_id, connection.id);
  guard_.add(connection.id, memory->mapping->bytes());
  connection.memory = std::move(*memory);
  connection.doorbell = std::move(*doorbell);
  return {};
}

void ClientRegistry::on_mapped(Connection& connection, const shm::MappedNotice& /*notice*/) {
  if (connection.stage != Stage::mapping) return detach(connection, EPROTO, "it mapped what it was not given");
  if (auto closed = close_to_client(connection.memory); !closed) {
    return detach(connection, EAGAIN, closed.error().message);
  }
  admit(connection);
}

void ClientRegistry::expect_message() {
  constexpr std::chrono::microseconds kLookTime{100};
  if (settings_.idle_strategy != config::IdleStrategy::power) expects_until_ = Clock::now() + kLookTime;
}

// From here on it may open channels. The first shard gets it with the first of them if that is asked for at once, so that
// it need not be woken twice.
void ClientRegistry::admit(Connection& connection) {
  lobby_.leave(connection.id);
  connection.stage = Stage::serving;
  connection.shard_of_channel.resize(connection.memory.geometry.channels);
  connection.shards.push_back({.shard = 0, .doorbell = {}});  // it has had that
  connection.is_due_at_shard = true;
  due_.push_back(connection.id);
  connection.is_unlogged = true;
  unlogged_.push_back(connection.id);
  if (unlogged_.size() >= kUnloggedMax) do_chores();
  expect_message();
  show_to_port_desk(connection);
}

void ClientRegistry::do_what_has_waited() {
  for (const auto id : std::exchange(due_, {})) {
    if (auto* const connection = find(id)) give_to_shard(*connection);
  }
}

// The line wakes the thread that writes it, which would be in the way of a client that is in a hurry.
void ClientRegistry::do_chores() {
  for (const auto id : std::exchange(unlogged_, {})) {
    if (auto* const connection = find(id)) log_attached(*connection);
  }
  if (settings_.makes_spares) spares_.make();
}

void ClientRegistry::give_to_shard(Connection& connection) {
  if (!connection.is_due_at_shard) return;
  shards_[0].commands->post(take_admission(connection));
}

AdmitClient ClientRegistry::take_admission(Connection& connection) {
  connection.is_due_at_shard = false;
  return admission(connection, std::move(connection.doorbell));
}

AdmitClient ClientRegistry::admission(const Connection& connection, shm::UniqueFd doorbell) const {
  const auto& peer = *connection.peer;
  return {.id = connection.id,
          .group = connection.group,
          .pid = static_cast<std::uint32_t>(peer.pid),
          .uid = peer.uid,
          .program = peer.program,
          .geometry = connection.memory.geometry,
          .memory = connection.memory.mapping,
          .doorbell = std::move(doorbell)};
}

std::uint32_t ClientRegistry::shard_of(std::string_view upstream) const {
  return settings_.shard_of ? settings_.shard_of(upstream) : 0;
}

void ClientRegistry::on_open_channel(Connection& connection, const shm::OpenChannelRequest& request) {
  if (!may_ask(connection)) return;
  expects_until_ = {};
  auto& wish = connection.channel.wish;
  wish = {.group = connection.group, .upstream = std::string(shm::text_of(request.upstream)), .flags = request.flags};
  const auto* const known = openings_.find(wish, connection.memory.geometry.slot_bytes);
  const auto shard = known != nullptr ? known->shard : shard_of(wish.upstream);
  if (auto prepared = prepare_channel(connection, shard); !prepared) return refuse(connection, prepared.error());
  if (known != nullptr) return open_at_once(connection, *known);
  give_to_shard(connection);
  auto wake = make_eventfd_pair();
  if (!wake) return refuse(connection, lacking(wake.error()));
  connection.channel.wake = std::move(wake->first);
  connection.pending = PendingRequest::open_channel;
  shards_[shard].commands->post(OpenChannel{.client = connection.id,
                                            .channel = connection.channel.number,
                                            .upstream = wish.upstream,
                                            .flags = request.flags,
                                            .wake = std::move(wake->second)});
}

// The client is told first: it takes longer to wake up than the shard, which finds the first request on the ring.
void ClientRegistry::open_at_once(Connection& connection, const ChannelOpened& known) {
  auto wake = make_eventfd();
  if (!wake) return refuse(connection, lacking(wake.error()));
  const auto& [number, shard, unused, wish] = connection.channel;
  auto opened = known;
  opened.channel = number;
  shm::reset_channel(connection.memory.mapping->bytes(), connection.memory.geometry, number);
  connection.shard_of_channel[number] = shard;
  if (!send_opened(connection, opened, wake->get())) return;
  auto& commands = *shards_[shard].commands;
  OpenChannel order{.client = connection.id,
                    .channel = number,
                    .upstream = wish.upstream,
                    .flags = wish.flags,
                    .wake = std::move(*wake),
                    .is_told = true};
  if (shard != 0 || !connection.is_due_at_shard) {
    give_to_shard(connection);
    return commands.post(std::move(order));
  }
  commands.post(take_admission(connection), std::move(order));
}

// A number for the channel, and the client at its shard.
std::expected<void, Denial> ClientRegistry::prepare_channel(Connection& connection, std::uint32_t shard) {
  const auto& channels = connection.shard_of_channel;
  const auto free = std::ranges::find_if(channels, [](const auto& shard_of_it) { return !shard_of_it; });
  if (free == channels.end()) {
    return std::unexpected(Denial{
        .error = EAGAIN,
        .text = "all " + std::to_string(channels.size()) + " channels of the client are open: close one, attach " +
                "with more, or raise memory/channels_per_client of group " + group_name(connection)});
  }
  connection.channel.number = static_cast<std::uint32_t>(free - channels.begin());
  connection.channel.shard = shard;
  const bool is_served = std::ranges::find(connection.shards, shard, &ServingShard::shard) != connection.shards.end();
  if (is_served) return {};
  auto doorbell = make_eventfd_pair();
  if (!doorbell) return std::unexpected(lacking(doorbell.error()));
  connection.shards.push_back({.shard = shard, .doorbell = std::move(doorbell->first)});
  shards_[shard].commands->post(admission(connection, std::move(doorbell->second)));
  return {};
}

void ClientRegistry::on_close_channel(Connection& connection, const shm::CloseChannelRequest& request) {
  if (!may_ask(connection)) return;
  connection.pending = PendingRequest::close_channel;
  connection.channel.number = request.channel;
  const auto& channels = connection.shard_of_channel;
  const bool is_open = request.channel < channels.size() && channels[request.channel];
  // The first shard refuses what is not open anywhere.
  connection.channel.shard = is_open ? *channels[request.channel] : 0;
  shards_[connection.channel.shard].commands->post(CloseChannel{.client = connection.id, .channel = request.channel});
}

void ClientRegistry::on_observe(Connection& connection, const shm::ObserveRequest& request) {
  if (!identify(connection)) return;
  const auto group = find_group_of_observer(settings_, shm::text_of(request.group), *connection.peer);
  if (!group) return refuse(connection, group.error());
  const auto& observed = settings_.groups[*group];
  send(connection, shm::ObserveReply{.header = {}, .group_bytes = observed.object_bytes},
       std::array{observed.object.get()});
}

void ClientRegistry::on_list_groups(Connection& connection, const shm::ListGroupsRequest& /*request*/) {
  if (!identify(connection)) return;
  shm::ListGroupsReply reply;
  for (const auto& group : settings_.groups) {
    if (!group.is_removed && may_observe(settings_, group, *connection.peer))
      shm::set_text(reply.names[reply.count++], group.name);
  }
  send(connection, reply);
}

void ClientRegistry::on_drain_upstream(Connection& connection, const shm::DrainUpstreamRequest& request) {
  if (!may_give_orders(connection)) return;
  const std::string upstream(shm::text_of(request.upstream));
  log_.info(request.resume != 0 ? "upstream_resume_ordered" : "upstream_drain_ordered",
            {{"upstream", upstream}, {"pid", connection.peer->pid}, {"uid", connection.peer->uid}});
  connection.pending = PendingRequest::drain_upstream;
  auto& commands = *shards_[shard_of(upstream)].commands;
  if (request.resume != 0) {
    commands.post(ResumeUpstream{.asker = connection.id, .upstream = upstream});
  } else {
    const auto timeout_ms = std::min(request.timeout_ms, config::kTimeoutMsMax);
    commands.post(DrainUpstream{.asker = connection.id, .upstream = upstream, .timeout_ms = timeout_ms});
  }
}

void ClientRegistry::on_refresh(Connection& connection, const shm::RefreshRequest& request) {
  if (!may_give_orders(connection)) return;
  log_.info(
      "refresh_ordered",
      {{"dry_run", request.dry_run != 0 ? "yes" : "no"}, {"pid", connection.peer->pid}, {"uid", connection.peer->uid}});
  connection.pending = PendingRequest::refresh;
  refresh_orders_.push_back({.asker = connection.id, .dry_run = request.dry_run != 0, .json = request.json != 0});
}

void ClientRegistry::refreshed(ClientId asker, const shm::RefreshReply& reply, std::string_view text) {
  auto* const connection = find_waiting(asker, PendingRequest::refresh);
  if (connection == nullptr) return;
  connection->pending = PendingRequest::none;
  const auto sealed = shm::make_sealed_text(text);
  if (!sealed) return refuse(*connection, lacking(sealed.error()));
  send(*connection, reply, std::array{sealed->get()});
}

void ClientRegistry::refresh_failed(ClientId asker, const Denial& denial) {
  auto* const connection = find_waiting(asker, PendingRequest::refresh);
  if (connection == nullptr) return;
  connection->pending = PendingRequest::none;
  refuse(*connection, denial);
}

// False: the connection may be gone. Else it may stay for as long as its order takes.
bool ClientRegistry::may_give_orders(Connection& connection) {
  if (connection.stage != Stage::arrived || connection.pending != PendingRequest::none) {
    detach(connection, EPROTO, "it gives orders while it waits for something else");
    return false;
  }
  if (!identify(connection)) return false;
  if (const auto allowed = check_operator(settings_, *connection.peer); !allowed) {
    refuse(connection, allowed.error());
    return false;
  }
  lobby_.leave(connection.id);
  return true;
}

// False: the connection may be gone.
bool ClientRegistry::identify(Connection& connection, std::string_view program) {
  if (connection.peer) return true;
  auto peer = identify_peer(connection.socket.get(), program);
  if (peer) {
    connection.peer = std::make_unique<Peer>(std::move(*peer));
    return true;
  }
  if (peer.error().code == ESRCH) {
    end(connection, true);
  } else {
    refuse(connection, lacking(peer.error()));
  }
  return false;
}

bool ClientRegistry::may_ask(Connection& connection) {
  const bool one_at_a_time = connection.pending == PendingRequest::none;
  if (connection.stage == Stage::serving && one_at_a_time) return true;
  detach(
      connection, EPROTO,
      one_at_a_time ? "it asks for channels or ports before it is attached" : "it asks again before it was answered");
  return false;
}

}  // namespace tlsmux::engine::control
