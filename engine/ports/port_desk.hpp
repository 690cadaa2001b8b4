#pragma once

// The desk for ports of all groups: takes what clients ask for, what becomes of them, what the guard has seen and what
// the kernel says into the groups' books, and shows it in their tables. ports/PORTS.md says what happens when. It does no
// system call: the world does.

#include <array>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/control/throttle.hpp"
#include "engine/log/log.hpp"
#include "engine/ports/port_group.hpp"
#include "engine/ports/port_sweeper.hpp"
#include "engine/ports/port_world.hpp"
#include "engine/shard/shard_command.hpp"
#include "ports/book/lease_table.hpp"
#include "ports/book/port_book.hpp"
#include "shm/control_protocol.hpp"

namespace tlsmux::engine {

// The control thread's. A call may take as long as a sweep: a millisecond or so, and some more where the broker is asked.
class PortDesk {
 public:
  struct Settings {
    ports::PortOwner engine;         // itself, as the owner of source ports
    std::int64_t wall_offset_s = 0;  // added to a monotonic time in seconds: seconds since 1970
    std::uint32_t sweep_ms = 1000;
  };

  // Of processes in whose name a client has claimed ports; and of all that are watched. The ends of others are seen in
  // full sweeps.
  static constexpr std::size_t kNamedPerClientMax = 16;
  static constexpr std::size_t kWatchedMax = 256;
  // Every so many sweeps one is of all ports, also of those that are free.
  static constexpr std::uint64_t kFullSweepEvery = 10;

  // What it is made from outlives it.
  PortDesk(PortWorld& world, Log& log, Settings settings);

  // ---- Groups, by the engine's indexes ----

  // The next one. `before` are a dead engine's entries of the group; requires no other call for the group before.
  void add_group(const config::GroupSettings& settings, PortGroup::Parts parts,
                 std::span<const ports::PortEntry> before = {});
  void change_group(std::uint32_t group, const config::GroupSettings& settings, config::Membership membership);
  // Its tables are not written any more, and its clients, which are about to be dismissed, get nothing.
  void remove_group(std::uint32_t group);
  void set_sweep_ms(std::uint32_t sweep_ms);
  // At the start, and after the broker has put another configuration in force. Members that the guard cannot know are
  // admitted (again): it may be another guard.
  void look_at_enforcement();

  // The ports that an upstream with tcp.source_ports makes its connections from, by these settings, from now on. Fewer than
  // it should have are logged.
  std::vector<std::uint16_t> source_ports(std::uint32_t upstream, const config::UpstreamSettings& settings);
  // It is removed, or its source ports are not from a group any more.
  void drop_source_ports(std::uint32_t upstream);

  // ---- Clients ----

  struct Client {
    ClientId id = 0;
    std::uint32_t group = 0;
    ports::PortOwner owner;
    gid_t gid = 0;                         // real
    std::shared_ptr<shm::Mapping> memory;  // its part, with the leases
    std::uint64_t leases_offset = 0;
  };
  void client_attached(Client client);
  // Its socket is closed: nothing is leased to it any more; what it has is its own for as long as the process lives.
  void client_left(ClientId id);
  void client_died(ClientId id);
  // Its memory is about to be unmapped. If the process lives on and has ports, its end is told by its pidfd.
  void client_forgotten(ClientId id, shm::UniqueFd pidfd);

  // EPROTO: it has committed an offence, and gets no answer.
  std::expected<shm::ClaimPortReply, ports::ClaimRefusal> claim(ClientId id, const shm::ClaimPortRequest& request);
  void release(ClientId id, const shm::ReleasePortRequest& request);
  void refill(ClientId id);

  // Clients that ask for what makes no sense, or have written into their leases what they must not: each once. They are to
  // be detached.
  struct Offence {
    ClientId client = 0;
    std::string rule;
  };
  std::vector<Offence> take_offences() { return std::exchange(offences_, {}); }

  // ---- Events and time ----

  // on_events() when it is readable; -1: never.
  [[nodiscard]] int descriptor() const { return world_.descriptor(); }
  void on_events();
  // By the world's clock; 0: none.
  [[nodiscard]] std::uint64_t next_deadline_ns() const;
  void run_timers();

  [[nodiscard]] const PortGroup* group(std::uint32_t index) const { return groups_[index].get(); }

 private:
  struct Seat {
    Client client;
    ports::LeaseTable leases;
    std::array<bool, 2> wants_leases{};  // by protocol
    bool took_lately = false;            // since the last sweep
    bool is_admitted = false;            // to the guard
    bool is_unknown_to_guard = false;    // should be admitted, and could not be
    bool is_offender = false;
    bool has_left = false;
    bool has_died = false;
  };
  // A process that is not attached: one that has left, or in whose name a client has claimed a port.
  struct Watched {
    std::uint32_t group = 0;
    ClientId asker = 0;  // who has claimed; 0: the process itself
    ports::PortOwner owner;
  };
  using Refused = std::unexpected<ports::ClaimRefusal>;

  // port_desk.cpp
  Seat* find(ClientId id);
  // Null: nothing is to be done for it any more.
  Seat* find_served(ClientId id);
  Seat* find_process(std::uint32_t group, const ports::PortOwner& owner);
  [[nodiscard]] bool is_watched(std::uint32_t group, const ports::PortOwner& owner) const;
  [[nodiscard]] bool has_ports(std::uint32_t group, const ports::PortOwner& owner) const;
  void admit(Seat& seat);
  void offend(Seat& seat, std::string_view rule);
  void publish(PortGroup& group);
  void bury(std::uint32_t group, const ports::PortOwner& owner);
  void heed_new_plans();
  void take_back_leases_outside(std::uint32_t group);

  // port_desk_claims.cpp
  std::expected<ports::ClaimOrder, ports::ClaimRefusal> order_of(Seat& seat, const shm::ClaimPortRequest& request);
  std::expected<ports::PortOwner, ports::ClaimRefusal> owner_of(Seat& seat, std::uint32_t pid);
  std::expected<void, ports::ClaimRefusal> watch_for(const Seat& seat, const ports::PortOwner& owner);
  void bury_dead_owners(std::uint32_t group, const ports::ClaimOrder& order);

  // port_desk_source_ports.cpp
  void claim_source_ports(std::size_t place, std::size_t count, std::vector<std::uint16_t>& ports);

  // port_desk_leases.cpp
  bool settle(Seat& seat, const ports::LeaseNews& news);
  bool look_at_leases(Seat& seat) { return settle(seat, seat.leases.look()); }
  void take_back_leases(Seat& seat);
  void give_leases(Seat& seat, ports::Protocol protocol);
  void make_room(const Seat& asker, ports::Protocol protocol);
  void make_room(std::uint32_t group, ports::Port port);
  void relieve_scarcity();

  // port_desk_sweeps.cpp
  void sweep();
  bool sweep_once();
  void sweep_soon();
  void sweep_by(std::uint64_t at_ns);
  void bury_the_dead();
  void forget_idle_processes();
  void on_guard_news();
  void on_bind(const ports::GuardEvent& event, std::map<std::uint32_t, ports::PortOwner>& known);
  [[nodiscard]] std::optional<std::uint32_t> group_of(ports::Port port) const;
  [[nodiscard]] std::uint64_t sweep_ns() const { return std::uint64_t{settings_.sweep_ms} * 1'000'000; }

  PortWorld& world_;
  Log& log_;
  Settings settings_;
  PortSweeper sweeper_;
  std::vector<std::unique_ptr<PortGroup>> groups_;               // null: removed
  std::vector<std::vector<std::uint16_t>> source_ports_before_;  // a dead engine's, of each group
  struct SourcePorts {
    std::string group;
    std::vector<std::uint16_t> ports;
  };
  std::unordered_map<std::uint32_t, SourcePorts> source_ports_;  // by upstream
  std::unordered_map<ClientId, Seat> seats_;
  std::unordered_map<std::uint64_t, Watched> watched_;  // by number
  std::uint64_t last_number_ = 0;
  std::vector<Offence> offences_;
  control::Throttle sweep_failures_;
  std::uint64_t sweep_at_ns_ = 0;
  std::uint64_t full_sweep_at_ns_ = 0;
  std::uint64_t rested_at_ns_ = 0;  // no sweep before, but for who waits for a dead process's port
  bool has_buried_ = false;         // since the last sweep
  bool has_new_plans_ = false;      // since the last sweep
};

}  // namespace tlsmux::engine
