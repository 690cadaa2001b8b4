#include "engine/ports/port_sweeper.hpp"

#include <algorithm>
#include <map>
#include <memory>

namespace tlsmux::engine {
namespace {

// At a stretch: each takes the broker some milliseconds for a few.
constexpr std::size_t kLookUpsMax = 64;

}  // namespace

std::expected<void, shm::SystemError> PortSweeper::sweep(std::span<const std::unique_ptr<PortGroup>> groups,
                                                         bool is_full, std::uint64_t now_ns) {
  for (const auto& group : groups) {
    if (group != nullptr) group->book().begin_sweep();
  }
  for (const auto protocol : ports::kProtocols) {
    ports::PortSet wanted;
    for (const auto& group : groups) {
      if (group == nullptr) continue;
      wanted |= group->held(protocol);
      if (is_full) wanted |= group->book().plan().all(protocol);
    }
    auto& facts = facts_[index_of(protocol)];
    facts.clear();
    if (wanted.empty()) continue;
    auto found = world_.sockets(protocol, wanted);
    if (!found) return std::unexpected(found.error());
    facts = std::move(*found);
  }
  for (const auto& group : groups) {
    if (group == nullptr) continue;
    auto held = held_ports(*group, is_full);
    add_claimed_elsewhere(*group, groups, held);
    group->book().finish_sweep(held, now_ns);
  }
  found_.clear();
  return {};
}

// Of two sockets on one port, the one that tells more about whose it is: one that is more than a connection's remains;
// whose owner was found; that is known already; that listens.
bool PortSweeper::tells_more(const ports::SocketFact& one, const ports::SocketFact& other,
                             std::uint64_t known_inode) const {
  const auto rank = [&](const ports::SocketFact& fact) {
    return std::array{!fact.is_time_wait, found_.contains(fact.inode), fact.inode == known_inode, fact.is_listening};
  };
  if (rank(one) != rank(other)) return rank(one) > rank(other);
  return one.inode < other.inode;
}

// One of a port's sockets of each user: a server has one for each connection.
std::vector<ports::HeldPort> PortSweeper::held_ports(const PortGroup& group, bool is_full) const {
  std::map<std::pair<ports::Port, std::uint32_t>, const ports::SocketFact*> best;
  for (const auto protocol : ports::kProtocols) {
    auto wanted = group.held(protocol);
    if (is_full) wanted |= group.book().plan().all(protocol);
    for (const auto& fact : facts_[index_of(protocol)]) {
      if (!wanted.contains(fact.port.number) || group.is_holder(fact.inode)) continue;
      const auto* const entry = group.book().find(fact.port);
      auto*& kept = best[{fact.port, fact.uid}];
      if (kept == nullptr || tells_more(fact, *kept, entry == nullptr ? 0 : entry->socket_inode)) kept = &fact;
    }
  }
  std::vector<ports::HeldPort> all;
  all.reserve(best.size());
  for (const auto& [place, fact] : best) {
    auto& held = all.emplace_back();
    held.port = fact->port;
    held.socket_inode = fact->inode;
    held.uid = fact->uid;
    held.is_time_wait = fact->is_time_wait || fact->inode == 0;  // no process has it any more
    add_owner(group, held);
  }
  return all;
}

void PortSweeper::add_claimed_elsewhere(const PortGroup& group, Groups groups, std::vector<ports::HeldPort>& held) {
  for (const auto& other : groups) {
    if (other == nullptr || other.get() == &group) continue;
    for (const auto* entry : other->entries()) {
      const bool is_grandfathered = (entry->flags & shm::kPortGrandfathered) != 0;
      if (!is_grandfathered || !group.book().plan().contains(entry->port)) continue;
      held.push_back({.port = entry->port,
                      .socket_inode = entry->socket_inode,
                      .uid = entry->owner.uid,
                      .is_time_wait = false,
                      .owner = entry->owner,
                      .is_member = false});
    }
  }
}

void PortSweeper::add_owner(const PortGroup& group, ports::HeldPort& held) const {
  const auto found = found_.find(held.socket_inode);
  if (found == found_.end()) return;
  held.owner = found->second.owner;
  held.is_member = group.membership().is_member(held.owner->uid, found->second.gids);
}

std::expected<bool, shm::SystemError> PortSweeper::look_up_owners(std::span<const std::unique_ptr<PortGroup>> groups) {
  std::vector<std::uint64_t> wanted;
  for (const auto& group : groups) {
    if (group == nullptr) continue;
    for (const auto inode : group->book().inodes_without_owner()) {
      if (wanted.size() < kLookUpsMax && asked_.insert(inode).second) wanted.push_back(inode);
    }
  }
  if (wanted.empty()) return false;
  const auto owners = world_.find_owners(wanted);
  if (!owners) return std::unexpected(owners.error());
  for (const auto& owner : *owners) {
    Found found{.owner = {.pid = owner.pid,
                          .uid = owner.uid,
                          .client_id = 0,
                          .pidfd_inode = owner.pidfd_inode,
                          .program = owner.program},
                .gids = {}};
    // Its Unix groups, while it is still the same process.
    if (auto process = world_.identify(owner.pid)) {
      const bool is_same = owner.pidfd_inode == 0 || process->owner.pidfd_inode == owner.pidfd_inode;
      if (is_same) found.gids = std::move(process->gids);
    }
    found_[owner.socket_inode] = std::move(found);
  }
  return !found_.empty();
}

}  // namespace tlsmux::engine
