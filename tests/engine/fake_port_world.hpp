#pragma once

// A world for the desk for ports: a clock that stands still, processes, sockets, a broker. A socket is there as long as a
// process has it.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/ports/port_world.hpp"

namespace tlsmux::test {

class FakePortWorld : public engine::PortWorld {
 public:
  struct Process {
    std::uint32_t uid = 0;
    std::vector<gid_t> gids{};
    std::string program = "app";
  };

  // ---- What happens ----

  ports::PortOwner start(std::uint32_t pid, const Process& process);
  void end(std::uint32_t pid);
  // Returns the socket's inode.
  std::uint64_t bind(std::uint32_t pid, ports::Port port);
  void share(std::uint64_t inode, std::uint32_t pid);
  void close(std::uint64_t inode);
  // And what it watched is watched no more.
  void engine_died() {
    watched_.clear();
    ended_.clear();
  }
  void pass(std::uint64_t ms) { time_ns += ms * 1'000'000; }

  std::uint64_t time_ns = 1'000'000'000'000;
  std::map<std::uint32_t, engine::broker::PortLevels> levels;  // by group
  engine::GuardNews news;                                      // to be taken
  bool is_mute = false;                                        // the kernel does not answer
  bool is_enforcement_changed = false;                         // to be taken
  bool has_broker = true;                                      // who tells the guard

  // ---- What the desk did ----

  int sweeps = 0;                        // questions about sockets
  std::vector<std::uint64_t> looked_up;  // sockets whose owners were asked for
  std::set<std::uint32_t> admitted;      // pids
  int guard_events_opened = 0;
  [[nodiscard]] std::size_t watched() const { return watched_.size(); }

  // ---- What the desk sees ----

  std::uint64_t now_ns() override { return time_ns; }
  std::expected<std::vector<ports::SocketFact>, shm::SystemError> sockets(ports::Protocol protocol,
                                                                          const ports::PortSet& wanted) override;
  std::expected<std::vector<ports::SocketOwner>, shm::SystemError> find_owners(
      std::span<const std::uint64_t> inodes) override;
  std::expected<engine::PortProcess, shm::SystemError> identify(std::uint32_t pid) override;
  bool is_alive(const ports::PortOwner& owner) override;
  bool watch(std::uint64_t number, const ports::PortOwner& owner, shm::UniqueFd pidfd) override;
  void unwatch(std::uint64_t number) override { watched_.erase(number); }
  std::vector<std::uint64_t> take_ended() override { return std::exchange(ended_, {}); }
  std::expected<engine::broker::PortLevels, shm::SystemError> enforcement(std::uint32_t group) override;
  std::expected<void, shm::SystemError> admit(std::uint32_t group, std::uint32_t pid) override;
  void dismiss(std::uint32_t group, std::uint32_t pid) override;
  bool take_enforcement_change() override { return std::exchange(is_enforcement_changed, false); }
  std::expected<void, shm::SystemError> open_guard_events() override {
    ++guard_events_opened;
    return {};
  }
  engine::GuardNews take_guard_news() override { return std::exchange(news, {}); }
  [[nodiscard]] int descriptor() const override { return -1; }

 private:
  struct Socket {
    ports::Port port;
    std::uint64_t inode = 0;
    std::uint32_t uid = 0;
    std::set<std::uint32_t> pids;
  };
  struct Known {
    Process process;
    std::uint64_t pidfd_inode = 0;
  };

  [[nodiscard]] ports::PortOwner owner_of(std::uint32_t pid) const;

  std::map<std::uint32_t, Known> processes_;
  std::vector<Socket> sockets_;
  std::map<std::uint64_t, std::uint32_t> watched_;  // pids
  std::vector<std::uint64_t> ended_;
  std::uint64_t last_inode_ = 100;
};

}  // namespace tlsmux::test
