#pragma once

// All connections to the control socket: answers what they ask, hands those that become clients to the shards, and sees
// to it that nothing of a client is left once it is dead, has gone, or has broken a rule. Trusts no byte of a message.
//
// The first shard gets a client when it attaches, or with the first channel that the client opens right after; another one
// when the client first asks for a channel to an upstream of that shard. Numbers of channels are given out here, since one
// number is open at one shard at a time. A client has been released when each shard that has it has said so.
//
// A client's death is what its pidfd says. The end of its socket means no more than that it has gone, since a forked
// child may hold the socket of a dead client open and a living client may close it.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/control/access.hpp"
#include "engine/control/client_spares.hpp"
#include "engine/control/connection.hpp"
#include "engine/control/control_settings.hpp"
#include "engine/control/detachment_log.hpp"
#include "engine/control/event_poll.hpp"
#include "engine/control/known_openings.hpp"
#include "engine/control/linger_limit.hpp"
#include "engine/control/lobby.hpp"
#include "engine/control/sigbus_guard.hpp"
#include "engine/control/throttle.hpp"
#include "engine/control/user_throttle.hpp"
#include "engine/log/log.hpp"
#include "engine/wrapper/wrapper_desk.hpp"
#include "shm/system/seqpacket.hpp"

namespace tlsmux::engine::control {

// One thread. Never waits. What it is made from outlives it.
class ClientRegistry {
 public:
  using Clock = Lobby::Clock;

  ClientRegistry(const ControlSettings& settings, std::span<const ShardMailboxes> shards, EventPoll& poll, Log& log);
  ~ClientRegistry();
  ClientRegistry(const ClientRegistry&) = delete;
  ClientRegistry& operator=(const ClientRegistry&) = delete;

  // A new connection, non-blocking.
  void arrive(shm::UniqueFd socket);
  // Something of a connection's is readable. Numbers of connections that are gone are passed over.
  void on_socket(ClientId id);
  void on_process_end(ClientId id);
  void on_memory_fault();
  // All that is about clients.
  void on_reply(std::uint32_t shard, const ShardReply& reply);

  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  void expire(Clock::time_point now);
  // Gives descriptors back by closing the newest connection that is no client. False if there is none.
  bool shed_newest();
  // Those who have broken a rule about ports.
  void detach_port_offenders();
  // The shards are about to be told of another configuration; they have all changed over.
  void change_begins() {
    openings_.change_begins();
    is_changing_ = true;
  }
  void change_ends() { openings_.change_ends(); }
  // Groups were added or removed: clients of those that are gone are detached.
  void groups_changed();
  // The other configuration holds: asks about connections, which have waited for it, are answered.
  void match_what_waits();

  // A client is in the middle of attaching, and its next message is likely to come within microseconds.
  [[nodiscard]] bool expects_message(Clock::time_point now) const { return now < expects_until_; }
  // Before sleeping: what could wait for such a message.
  void do_what_has_waited();
  // What can wait for a moment in which nobody waits.
  [[nodiscard]] bool has_chores() const { return !unlogged_.empty() || (settings_.makes_spares && spares_.is_short()); }
  void do_chores();
  // How many lines the log was spared, of seconds that are over by then.
  void log_left_out(Clock::time_point now);
  // An order to refresh the configuration.
  struct RefreshOrder {
    ClientId asker = 0;  // 0: nobody waits for the answer
    bool dry_run = false;
    bool json = false;
  };
  std::vector<RefreshOrder> take_refresh_orders() { return std::exchange(refresh_orders_, {}); }
  // Its answer.
  void refreshed(ClientId asker, const shm::RefreshReply& reply, std::string_view text);
  void refresh_failed(ClientId asker, const Denial& denial);

  // Something may have come of the sockets that processes have announced. Only with a desk for them.
  void start_redirected_streams();

  // No more clients from now on.
  void start_draining() { draining_ = true; }

  // For closing what a client has had no answer to.
  [[nodiscard]] const LingerLimit& linger_limit() const { return linger_limit_; }
  [[nodiscard]] int memory_fault_descriptor() const { return guard_.descriptor(); }
  [[nodiscard]] std::size_t connection_count() const { return connections_.size(); }

 private:
  // client_requests.cpp: one for each message that a client may send.
  void on_message(Connection& connection, const shm::Packet& packet);
  void on_unreadable(Connection& connection, const shm::Packet& packet);
  void on_attach(Connection& connection, const shm::AttachRequest& request);
  void on_mapped(Connection& connection, const shm::MappedNotice& notice);
  void on_open_channel(Connection& connection, const shm::OpenChannelRequest& request);
  void on_close_channel(Connection& connection, const shm::CloseChannelRequest& request);
  void on_observe(Connection& connection, const shm::ObserveRequest& request);
  void on_list_groups(Connection& connection, const shm::ListGroupsRequest& request);
  void on_refresh(Connection& connection, const shm::RefreshRequest& request);
  void on_drain_upstream(Connection& connection, const shm::DrainUpstreamRequest& request);
  template <typename Message>
  void dispatch(Connection& connection, const shm::Packet& packet,
                void (ClientRegistry::*handler)(Connection&, const Message&));
  std::expected<shm::ClientGeometry, Denial> judge_attach(const Connection& connection,
                                                          const shm::AttachRequest& request, std::uint32_t& group);
  std::expected<void, Denial> prepare(Connection& connection, const shm::ClientGeometry& geometry, std::uint32_t group);
  void expect_message();
  void admit(Connection& connection);
  AdmitClient take_admission(Connection& connection);
  void give_to_shard(Connection& connection);
  AdmitClient admission(const Connection& connection, shm::UniqueFd doorbell) const;
  void open_at_once(Connection& connection, const ChannelOpened& known);
  bool send_opened(Connection& connection, const ChannelOpened& opened, int wake);
  std::expected<void, Denial> prepare_channel(Connection& connection, std::uint32_t shard);
  [[nodiscard]] std::uint32_t shard_of(std::string_view upstream) const;
  bool identify(Connection& connection, std::string_view program = {});
  bool may_ask(Connection& connection);
  bool may_give_orders(Connection& connection);

  // stream_requests.cpp
  void on_open_stream(Connection& connection, const shm::OpenStreamRequest& request);
  void on_stream_opened(const StreamOpened& reply);

  // wrapper_requests.cpp
  std::optional<wrapper::Asker> wrapper_asker(Connection& connection, std::string_view group);
  void on_match_peer(Connection& connection, const shm::MatchPeerRequest& request);
  void on_announce_stream(Connection& connection, const shm::AnnounceStreamRequest& request);
  void start_redirected(wrapper::StartedStream&& started);
  void on_redirected_stream(const StreamOpened& reply);

  // port_requests.cpp
  void on_claim_port(Connection& connection, const shm::ClaimPortRequest& request);
  void on_release_port(Connection& connection, const shm::ReleasePortRequest& request);
  void on_refill_ports(Connection& connection, const shm::RefillPortsRequest& request);
  void show_to_port_desk(const Connection& connection) const;
  void forget_at_port_desk(Connection& connection);
  [[nodiscard]] bool is_served(ClientId id) const;

  // client_registry.cpp
  void on_goodbye(Connection& connection, const shm::GoodbyeNotice& notice);
  void on_channel_opened(const ChannelOpened& reply);
  void on_channel_closed(const ChannelClosed& reply);
  void on_offence(const ClientOffended& reply);
  void on_released(std::uint32_t shard, const ClientReleased& reply);
  void wipe_after_death(Connection& connection);
  void on_upstream_drained(const UpstreamDrained& reply);
  Connection* find(ClientId id);
  // Null unless it still waits for the answer to this.
  Connection* find_waiting(ClientId id, PendingRequest pending);
  // False: it could not be sent, and the connection has ended.
  template <typename Message>
  bool send(Connection& connection, const Message& message, std::span<const int> descriptors = {});
  bool deliver(Connection& connection, std::expected<void, shm::SystemError> sent);
  void refuse(Connection& connection, const Denial& denial);
  void send_refusal(Connection& connection, const Denial& denial);
  // After each of these the connection may be gone.
  void detach(Connection& connection, int error, std::string_view rule);
  void shed(ClientId id);
  void end(Connection& connection, bool died);
  void forget(Connection& connection);
  std::expected<shm::Packet, shm::SystemError> receive(const Connection& connection) const;
  [[nodiscard]] bool has_said_goodbye(const Connection& connection) const;
  void close(shm::UniqueFd& socket) const;
  void log_attached(Connection& connection);
  // How a client ended, once.
  void log_end(Connection& connection, std::string_view event);
  void log_detached(Connection& connection, std::string_view rule);
  void log_info(const Connection& connection, std::string_view event, Fields fields);
  void log_refusal(const Connection& connection, const Denial& denial);
  [[nodiscard]] const std::string& group_name(const Connection& connection) const;

  const ControlSettings& settings_;
  std::span<const ShardMailboxes> shards_;
  EventPoll& poll_;
  Log& log_;
  bool takes_descriptors_;  // as before Linux 6.16
  LingerLimit linger_limit_;
  SigbusGuard guard_;
  Lobby lobby_;
  KnownOpenings openings_;
  ClientSpares spares_;
  Clock::time_point expects_until_{};
  std::vector<ClientId> due_;       // with is_due_at_shard; some may have lost it, or be gone
  std::vector<ClientId> unlogged_;  // likewise with is_unlogged
  UserThrottle refusals_;
  Throttle refusals_of_unknown_;
  DetachmentLog detachments_;
  std::unordered_map<ClientId, Connection> connections_;
  std::vector<std::uint32_t> clients_;  // of each group, from mapping until released
  std::vector<RefreshOrder> refresh_orders_;
  ClientId last_id_ = 0;
  std::uint64_t last_stream_ = 0;                                // number
  std::unordered_map<std::uint64_t, shm::UniqueFd> redirected_;  // by number of stream, until a shard has taken it
  std::vector<std::pair<ClientId, shm::MatchPeerRequest>> waiting_matches_;  // while the configuration is being changed
  bool is_changing_ = false;
  bool draining_ = false;
};

// A client offended if it does not even read the answers to its own requests.
template <typename Message>
bool ClientRegistry::send(Connection& connection, const Message& message, std::span<const int> descriptors) {
  return deliver(connection, shm::send_message(connection.socket.get(), message, descriptors));
}

}  // namespace tlsmux::engine::control
