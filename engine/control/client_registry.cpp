#include "engine/control/client_registry.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "shm/system/descriptor_refusal.hpp"
#include "shm/wipe.hpp"

namespace tlsmux::engine::control {
namespace {

std::size_t clients_max_of(const ControlSettings& settings) {
  std::size_t sum = 0;
  for (const auto& group : settings.groups) sum += group.memory.clients_max;
  return sum;
}

// Of a process that has gone: how many messages that nobody has read may be in front of its goodbye.
constexpr int kLastMessagesMax = 256;

}  // namespace

ClientRegistry::ClientRegistry(const ControlSettings& settings, std::span<const ShardMailboxes> shards, EventPoll& poll,
                               Log& log)
    : settings_(settings),
      shards_(shards),
      poll_(poll),
      log_(log),
      takes_descriptors_(!shm::refuses_descriptors(settings.listener.get())),
      linger_limit_(takes_descriptors_),
      guard_(clients_max_of(settings)),
      clients_(settings.groups.size()) {
  linger_limit_.report_lack(log_);
}

ClientRegistry::~ClientRegistry() {
  for (auto& [id, connection] : connections_) close(connection.socket);
}

void ClientRegistry::arrive(shm::UniqueFd socket) {
  const auto uid = uid_of_peer(socket.get());
  const ClientId id = ++last_id_;
  if (!uid || !poll_.add(socket.get(), {.source = Source::socket, .id = id})) return close(socket);
  auto& connection = connections_[id];
  connection.id = id;
  connection.socket = std::move(socket);
  if (const auto leaves = lobby_.enter(id, *uid, Clock::now())) shed(*leaves);
  expect_message();  // who connects asks at once
  on_socket(id);
}

void ClientRegistry::on_socket(ClientId id) {
  auto* const connection = find(id);
  if (connection == nullptr || !connection->socket) return;
  auto packet = receive(*connection);
  // Without a goodbye: whether it is dead is seen later, when its process is, or at the latest when it is released.
  if (packet && packet->bytes.empty()) return end(*connection, false);
  if (packet) return on_message(*connection, *packet);
  if (packet.error().code == EAGAIN) return;
  if (packet.error().code == EPROTO) return detach(*connection, EPROTO, packet.error().message);
  end(*connection, false);
}

std::expected<shm::Packet, shm::SystemError> ClientRegistry::receive(const Connection& connection) const {
  const Unlingering guard(linger_limit_);
  return shm::receive_packet(connection.socket.get(), shm::Descriptors::refused);
}

void ClientRegistry::on_process_end(ClientId id) {
  auto* const connection = find(id);
  if (connection == nullptr || !connection->peer) return;
  poll_.remove(connection->peer->pidfd.get());
  connection->peer->pidfd.reset();
  log_attached(*connection);
  if (connection->stage != Stage::mapping) {
    log_end(*connection, has_said_goodbye(*connection) ? "client_disconnected" : "client_died");
  }
  end(*connection, true);
}

void ClientRegistry::on_memory_fault() {
  for (const auto id : guard_.take_faulted()) {
    auto* const connection = find(id);
    if (connection == nullptr) continue;
    if (connection->stage != Stage::leaving) detach(*connection, EFAULT, "pages of its memory are gone");
  }
}

void ClientRegistry::on_reply(std::uint32_t shard, const ShardReply& reply) {
  if (const auto* opened = std::get_if<ChannelOpened>(&reply)) on_channel_opened(*opened);
  if (const auto* closed = std::get_if<ChannelClosed>(&reply)) on_channel_closed(*closed);
  if (const auto* offended = std::get_if<ClientOffended>(&reply)) on_offence(*offended);
  if (const auto* released = std::get_if<ClientReleased>(&reply)) on_released(shard, *released);
  if (const auto* drained = std::get_if<UpstreamDrained>(&reply)) on_upstream_drained(*drained);
  if (const auto* stream = std::get_if<StreamOpened>(&reply)) {
    on_redirected_stream(*stream);
    on_stream_opened(*stream);
  }
}

std::optional<ClientRegistry::Clock::time_point> ClientRegistry::next_deadline() const {
  const auto lobby = lobby_.next_deadline();
  const auto log = detachments_.next_deadline();
  return lobby && log ? std::min(*lobby, *log) : lobby ? lobby : log;
}

void ClientRegistry::expire(Clock::time_point now) {
  for (const auto id : lobby_.expired(now)) {
    if (auto* const connection = find(id)) detach(*connection, ETIMEDOUT, "it took too long to attach");
  }
}

bool ClientRegistry::shed_newest() {
  spares_.drop();
  const auto id = lobby_.newest();
  if (id) shed(*id);
  return id.has_value();
}

void ClientRegistry::groups_changed() {
  while (clients_.size() < settings_.groups.size()) {
    guard_.grow(settings_.groups[clients_.size()].memory.clients_max);
    clients_.push_back(0);
  }
  std::vector<ClientId> astray;
  for (const auto& [id, connection] : connections_) {
    const bool has_group = connection.stage == Stage::mapping || connection.stage == Stage::serving;
    if (has_group && settings_.groups[connection.group].is_removed) astray.push_back(id);
  }
  for (const auto id : astray) {
    if (auto* const connection = find(id)) {
      detach(*connection, ENOENT, "group " + group_name(*connection) + " was removed from the engine's configuration");
    }
  }
}

void ClientRegistry::on_goodbye(Connection& connection, const shm::GoodbyeNotice& /*notice*/) {
  log_attached(connection);
  if (connection.stage == Stage::serving) log_end(connection, "client_disconnected");
  end(connection, false);
}

void ClientRegistry::on_channel_opened(const ChannelOpened& reply) {
  auto* const connection = find_waiting(reply.client, PendingRequest::open_channel);
  if (connection == nullptr) return;
  connection->pending = PendingRequest::none;
  const auto opened = std::exchange(connection->channel, {});
  if (reply.error != 0) return refuse(*connection, {.error = reply.error, .text = reply.error_text});
  auto told = reply;
  told.channel = opened.number;
  told.shard = opened.shard;
  openings_.remember(opened.wish, told);
  connection->shard_of_channel[opened.number] = opened.shard;
  send_opened(*connection, told, opened.wake.get());
}

// With the shard's doorbell, if the client does not have that yet.
bool ClientRegistry::send_opened(Connection& connection, const ChannelOpened& opened, int wake) {
  const shm::OpenChannelReply message{.header = {},
                                      .channel = opened.channel,
                                      .upstream = opened.upstream_row,
                                      .shard = opened.shard,
                                      .message_bytes_max = opened.message_bytes_max,
                                      .timeout_ms = opened.timeout_ms};
  const auto serving = std::ranges::find(connection.shards, opened.shard, &ServingShard::shard);
  if (serving == connection.shards.end() || !serving->doorbell) return send(connection, message, std::array{wake});
  const auto doorbell = std::move(serving->doorbell);
  return send(connection, message, std::array{wake, doorbell.get()});
}

void ClientRegistry::on_channel_closed(const ChannelClosed& reply) {
  auto* const connection = find_waiting(reply.client, PendingRequest::close_channel);
  if (connection == nullptr) return;
  connection->pending = PendingRequest::none;
  if (reply.error != 0) return refuse(*connection, {.error = reply.error, .text = reply.error_text});
  const auto number = connection->channel.number;
  if (number < connection->shard_of_channel.size()) connection->shard_of_channel[number].reset();
  send(*connection, shm::CloseChannelReply{});
}

void ClientRegistry::on_upstream_drained(const UpstreamDrained& reply) {
  auto* const connection = find_waiting(reply.asker, PendingRequest::drain_upstream);
  if (connection == nullptr) return;
  connection->pending = PendingRequest::none;
  if (reply.error != 0) return refuse(*connection, {.error = reply.error, .text = reply.error_text});
  send(*connection, shm::DrainUpstreamReply{.header = {}, .requests_left = reply.requests_left});
}

void ClientRegistry::on_offence(const ClientOffended& reply) {
  auto* const connection = find(reply.client);
  if (connection != nullptr && connection->stage == Stage::serving) detach(*connection, EPROTO, reply.rule);
}

void ClientRegistry::on_released(std::uint32_t shard, const ClientReleased& reply) {
  auto* const connection = find(reply.client);
  if (connection == nullptr) return;
  std::erase_if(connection->shards, [&](const ServingShard& serving) { return serving.shard == shard; });
  connection->in_flight += reply.in_flight;
  connection->unseen += reply.unseen;
  if (!connection->shards.empty()) return;
  if (!connection->is_end_logged) {
    log_end(*connection, has_given_up_memory(*connection->peer) ? "client_died" : "client_disconnected");
  }
  wipe_after_death(*connection);
  connection->memory.mapping.reset();
  log_info(*connection, "client_released",
           {{"client", reply.client},
            {"group", group_name(*connection)},
            {"in_flight", connection->in_flight},
            {"unseen", connection->unseen}});
  forget(*connection);
}

// One that lives has wiped what it could by itself, and may still read its answers.
void ClientRegistry::wipe_after_death(Connection& connection) {
  if (!settings_.groups[connection.group].memory.wipe_slots || !connection.memory.mapping) return;
  if (has_given_up_memory(*connection.peer)) shm::wipe(connection.memory.mapping->bytes());
}

Connection* ClientRegistry::find(ClientId id) {
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : &found->second;
}

Connection* ClientRegistry::find_waiting(ClientId id, PendingRequest pending) {
  auto* const connection = find(id);
  const bool waits = connection != nullptr && connection->stage != Stage::leaving && connection->pending == pending;
  return waits ? connection : nullptr;
}

bool ClientRegistry::deliver(Connection& connection, std::expected<void, shm::SystemError> sent) {
  if (sent) return true;
  if (sent.error().code == EAGAIN) {
    detach(connection, EPROTO, "it does not read its answers");
  } else {
    log_attached(connection);
    if (connection.stage == Stage::serving && has_said_goodbye(connection)) log_end(connection, "client_disconnected");
    end(connection, false);
  }
  return false;
}

// Of a connection that ends, what is left to read is read: its socket is readable once for all that it has sent, and other news of
// its end may come before the last of that.
bool ClientRegistry::has_said_goodbye(const Connection& connection) const {
  if (connection.is_end_logged || !connection.socket) return false;
  for (int i = 0; i < kLastMessagesMax; ++i) {
    const auto packet = receive(connection);
    if (!packet || packet->bytes.empty()) return false;
    shm::GoodbyeNotice goodbye;
    if (shm::read_message(*packet, goodbye)) return true;
  }
  return false;
}

void ClientRegistry::refuse(Connection& connection, const Denial& denial) {
  log_refusal(connection, denial);
  send_refusal(connection, denial);
}

void ClientRegistry::send_refusal(Connection& connection, const Denial& denial) {
  shm::Refusal message;
  message.error = denial.error;
  shm::set_text(message.text, denial.text);
  send(connection, message);
}

void ClientRegistry::detach(Connection& connection, int error, std::string_view rule) {
  log_attached(connection);
  if (connection.stage == Stage::serving) {
    log_detached(connection, rule);
  } else {
    log_refusal(connection, {.error = error, .text = std::string(rule)});
  }
  shm::DetachedNotice message;
  message.error = error;
  shm::set_text(message.text, rule);
  [[maybe_unused]] const auto told = shm::send_message(connection.socket.get(), message);
  end(connection, false);
}

void ClientRegistry::shed(ClientId id) {
  auto* const connection = find(id);
  if (connection == nullptr) return;
  const Denial denial{.error = EAGAIN, .text = "too many connections wait for an answer; try again"};
  log_refusal(*connection, denial);
  shm::Refusal message;
  message.error = denial.error;
  shm::set_text(message.text, denial.text);
  [[maybe_unused]] const auto told = shm::send_message(connection->socket.get(), message);
  end(*connection, false);
}

void ClientRegistry::end(Connection& connection, bool died) {
  log_attached(connection);
  give_to_shard(connection);
  close(connection.socket);
  connection.channel.wake.reset();
  connection.stream.reset();
  lobby_.leave(connection.id);
  if (connection.stage != Stage::serving && connection.stage != Stage::leaving) return forget(connection);
  // Twice for one that first closed its socket and then died, as the kernel does for every process that ends.
  if (settings_.ports != nullptr) {
    if (died) {
      settings_.ports->client_died(connection.id);
    } else {
      settings_.ports->client_left(connection.id);
    }
  }
  if (connection.stage == Stage::serving || died) {
    for (const auto& serving : connection.shards) {
      shards_[serving.shard].commands->post(DismissClient{.client = connection.id, .died = died});
    }
  }
  connection.stage = Stage::leaving;
}

void ClientRegistry::close(shm::UniqueFd& socket) const {
  const Unlingering guard(linger_limit_);
  socket.reset();
}

void ClientRegistry::forget(Connection& connection) {
  const auto id = connection.id;
  if (connection.stage != Stage::arrived) {
    forget_at_port_desk(connection);
    --clients_[connection.group];
    connection.memory = {};  // unmapped before it is unguarded
    guard_.remove(id);
  }
  lobby_.leave(id);
  connections_.erase(id);
  log_.debug("connection_closed", {{"client", id}});
}

const std::string& ClientRegistry::group_name(const Connection& connection) const {
  return settings_.groups[connection.group].name;
}

}  // namespace tlsmux::engine::control
