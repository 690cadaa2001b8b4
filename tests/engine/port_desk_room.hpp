#pragma once

// A desk for ports with a group or two, clients, and their memory, in a world that the test makes.

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/ports/port_desk.hpp"
#include "engine/shard/status_board.hpp"
#include "shm/geometry.hpp"
#include "shm/group_part.hpp"
#include "tests/engine/fake_port_world.hpp"

namespace tlsmux::test {

inline constexpr std::int64_t kWallOffsetS = 1'700'000'000;
inline constexpr std::uint32_t kMemberUid = 500;
inline constexpr gid_t kMemberGid = 600;
inline constexpr std::uint32_t kStrangerUid = 501;

inline ports::Port tcp(std::uint16_t number) { return {.protocol = ports::Protocol::tcp, .number = number}; }
inline ports::Port udp(std::uint16_t number) { return {.protocol = ports::Protocol::udp, .number = number}; }

// Dynamic TCP and UDP ports 1000 to 1099, static TCP port 2000 "pos"; no leases.
config::GroupSettings ebanking();
config::Membership members();

inline shm::ClaimPortRequest claim_of(std::uint16_t number, std::uint32_t owner_pid = 0) {
  return {.header = {},
          .kind = number == 0 ? shm::PortClaimKind::dynamic : shm::PortClaimKind::number,
          .protocol = shm::kPortTcp,
          .port = number,
          .owner_pid = owner_pid};
}

// How often `what` stands in it.
std::size_t count_of(const std::string& text, const std::string& what);

class DeskRoom {
 public:
  explicit DeskRoom(const config::GroupSettings& settings = ebanking(), FakePortWorld* world = nullptr,
                    std::span<const ports::PortEntry> before = {});

  // A process of the member that has attached.
  struct Client {
    std::uint32_t pid = 0;
    engine::ClientId id = 0;
    shm::PortLeases* leases = nullptr;
  };
  // A process that attaches to a group. `pid` 0: any.
  Client attach(const FakePortWorld::Process& process = {.uid = kMemberUid, .gids = {kMemberUid}},
                std::uint32_t group = 0, std::uint32_t pid = 0);
  // One that lives already, to group 0.
  Client attach_again(const ports::PortOwner& owner);
  // As the kernel does it: the socket is closed first.
  void kill(const Client& client);

  std::expected<shm::ClaimPortReply, ports::ClaimRefusal> claim(const Client& client,
                                                                const shm::ClaimPortRequest& request);
  // The port; 0: refused.
  std::uint16_t claim(const Client& client, bool wants_leases = false);
  void release(const Client& client, ports::Port port, bool in_use = false);
  // Of a port that it had before.
  void report_in_use(const Client& client, ports::Port port);

  // Time passes, so that as many more sweeps are due, and what they lead to.
  void sweep(int times = 1);
  void settle();

  // As members see them.
  [[nodiscard]] shm::GroupView view() const;
  [[nodiscard]] std::vector<const shm::PortRow*> rows() const;
  [[nodiscard]] const shm::PortRow* row(ports::Port port) const;
  [[nodiscard]] shm::PortState state(ports::Port port) const;
  [[nodiscard]] std::uint32_t free_count(ports::Protocol protocol = ports::Protocol::tcp) const;
  [[nodiscard]] std::span<const std::byte> tables() const { return part_memory_.front().bytes; }

  // A group at the next index.
  void add_group(const config::GroupSettings& settings, std::span<const ports::PortEntry> before = {});
  [[nodiscard]] std::string log_text() const;

  FakePortWorld own_world;
  FakePortWorld& world;

 private:
  Client seat(ports::PortOwner owner, gid_t gid, std::uint32_t group);

  struct PartMemory {
    std::vector<std::byte> storage;
    std::span<std::byte> bytes;
  };

  shm::UniqueFd log_file_;
  engine::Log log_;
  std::deque<PartMemory> part_memory_;
  std::deque<std::shared_ptr<shm::Mapping>> client_memory_;

 public:
  engine::PortDesk desk;

 private:
  std::uint32_t last_pid_ = 10'000;
  engine::ClientId last_client_ = 0;
};

}  // namespace tlsmux::test
