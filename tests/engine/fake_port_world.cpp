#include "tests/engine/fake_port_world.hpp"

#include <algorithm>
#include <cerrno>

namespace tlsmux::test {

using shm::SystemError;

ports::PortOwner FakePortWorld::start(std::uint32_t pid, const Process& process) {
  processes_[pid] = {.process = process, .pidfd_inode = ++last_inode_};
  return owner_of(pid);
}

void FakePortWorld::end(std::uint32_t pid) {
  processes_.erase(pid);
  std::erase_if(sockets_, [&](auto& socket) { return socket.pids.erase(pid) != 0 && socket.pids.empty(); });
  std::erase_if(watched_, [&](const auto& watched) {
    if (watched.second == pid) ended_.push_back(watched.first);
    return watched.second == pid;
  });
}

std::uint64_t FakePortWorld::bind(std::uint32_t pid, ports::Port port) {
  sockets_.push_back({.port = port, .inode = ++last_inode_, .uid = processes_.at(pid).process.uid, .pids = {pid}});
  return last_inode_;
}

void FakePortWorld::share(std::uint64_t inode, std::uint32_t pid) {
  std::ranges::find(sockets_, inode, &Socket::inode)->pids.insert(pid);
}

void FakePortWorld::close(std::uint64_t inode) {
  std::erase_if(sockets_, [&](const auto& socket) { return socket.inode == inode; });
}

ports::PortOwner FakePortWorld::owner_of(std::uint32_t pid) const {
  const auto& known = processes_.at(pid);
  return {.pid = pid,
          .uid = known.process.uid,
          .client_id = 0,
          .pidfd_inode = known.pidfd_inode,
          .program = known.process.program};
}

std::expected<std::vector<ports::SocketFact>, SystemError> FakePortWorld::sockets(ports::Protocol protocol,
                                                                                  const ports::PortSet& wanted) {
  ++sweeps;
  if (is_mute) return std::unexpected(SystemError{.code = ENOBUFS, .message = "the kernel is mute"});
  std::vector<ports::SocketFact> facts;
  for (const auto& socket : sockets_) {
    if (socket.port.protocol != protocol || !wanted.contains(socket.port.number)) continue;
    auto& fact = facts.emplace_back();
    fact.port = socket.port;
    fact.is_listening = true;
    fact.uid = socket.uid;
    fact.inode = socket.inode;
  }
  return facts;
}

std::expected<std::vector<ports::SocketOwner>, SystemError> FakePortWorld::find_owners(
    std::span<const std::uint64_t> inodes) {
  std::vector<ports::SocketOwner> owners;
  for (const auto inode : inodes) {
    looked_up.push_back(inode);
    const auto socket = std::ranges::find(sockets_, inode, &Socket::inode);
    if (socket == sockets_.end()) continue;
    const auto owner = owner_of(*socket->pids.begin());
    owners.push_back({.socket_inode = inode,
                      .pid = owner.pid,
                      .uid = owner.uid,
                      .pidfd_inode = owner.pidfd_inode,
                      .program = owner.program});
  }
  return owners;
}

std::expected<engine::PortProcess, SystemError> FakePortWorld::identify(std::uint32_t pid) {
  const auto found = processes_.find(pid);
  if (found == processes_.end()) return std::unexpected(SystemError{.code = ESRCH, .message = "it has ended"});
  return engine::PortProcess{.owner = owner_of(pid), .gids = found->second.process.gids, .pidfd = {}};
}

bool FakePortWorld::is_alive(const ports::PortOwner& owner) {
  const auto found = processes_.find(owner.pid);
  return found != processes_.end() && found->second.pidfd_inode == owner.pidfd_inode;
}

bool FakePortWorld::watch(std::uint64_t number, const ports::PortOwner& owner, shm::UniqueFd /*pidfd*/) {
  watched_.emplace(number, owner.pid);
  return true;
}

std::expected<engine::broker::PortLevels, SystemError> FakePortWorld::enforcement(std::uint32_t group) {
  return levels[group];
}

std::expected<void, SystemError> FakePortWorld::admit(std::uint32_t /*group*/, std::uint32_t pid) {
  if (!has_broker) return std::unexpected(SystemError{.code = EPIPE, .message = "the broker is gone"});
  admitted.insert(pid);
  return {};
}

void FakePortWorld::dismiss(std::uint32_t /*group*/, std::uint32_t pid) { admitted.erase(pid); }

}  // namespace tlsmux::test
