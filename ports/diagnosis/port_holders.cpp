#include "ports/diagnosis/port_holders.hpp"

#include <algorithm>

#include "shm/assert.hpp"

namespace tlsmux::ports {
namespace {

constexpr std::uint32_t kOneLess = ~0U;  // added to a count

}  // namespace

PortHolders::Id PortHolders::find(const PortOwner& owner) const {
  if (owner.pidfd_inode != 0) {
    if (const auto known = by_inode_.find(owner.pidfd_inode); known != by_inode_.end()) return known->second;
  }
  if (owner.pid == 0) return kNobody;
  // Of several with one pid the others are dead, though nobody has said so yet.
  Id latest = kNobody;
  const auto [first, last] = by_pid_.equal_range(owner.pid);
  for (auto each = first; each != last; ++each) {
    const auto inode = holdings_.at(each->second).pidfd_inode;
    if (owner.pidfd_inode == 0 || inode == 0) latest = std::max(latest, each->second);
  }
  return latest;
}

PortHolders::Id PortHolders::enter(const PortOwner& owner) {
  TMX_ASSERT(is_known(owner));
  auto id = find(owner);
  if (id == kNobody) id = ++last_;
  auto& holding = holdings_[id];
  if (holding.pid == 0 && owner.pid != 0) {
    holding.pid = owner.pid;
    by_pid_.emplace(owner.pid, id);
  }
  if (holding.pidfd_inode == 0 && owner.pidfd_inode != 0) {
    holding.pidfd_inode = owner.pidfd_inode;
    by_inode_.emplace(owner.pidfd_inode, id);
  }
  return id;
}

void PortHolders::count(Holding& holding, Protocol protocol, Share share, std::uint32_t more) {
  const auto index = index_of(protocol);
  if (share != Share::fixed) holding.dynamic[index] += more;
  if (share == Share::lease) {
    holding.leases[index] += more;
    all_leases_[index] += more;
  }
}

void PortHolders::add(Id holder, Port port, Share share) {
  auto& holding = holdings_.at(holder);
  TMX_ASSERT(holding.ports.insert(port).second);
  count(holding, port.protocol, share, 1);
}

void PortHolders::remove(Id holder, Port port, Share share) {
  auto& holding = holdings_.at(holder);
  TMX_ASSERT(holding.ports.erase(port) == 1);
  count(holding, port.protocol, share, kOneLess);
  if (holding.ports.empty()) forget(holder);
}

void PortHolders::change(Id holder, Port port, Share from, Share to) {
  auto& holding = holdings_.at(holder);
  count(holding, port.protocol, from, kOneLess);
  count(holding, port.protocol, to, 1);
}

void PortHolders::forget(Id holder) {
  const auto& holding = holdings_.at(holder);
  if (holding.pidfd_inode != 0) by_inode_.erase(holding.pidfd_inode);
  const auto [first, last] = by_pid_.equal_range(holding.pid);
  const auto own = std::find_if(first, last, [holder](const auto& each) { return each.second == holder; });
  if (own != last) by_pid_.erase(own);
  holdings_.erase(holder);
}

std::vector<Port> PortHolders::ports(Id holder) const {
  const auto found = holdings_.find(holder);
  if (found == holdings_.end()) return {};
  return {found->second.ports.begin(), found->second.ports.end()};
}

std::uint32_t PortHolders::dynamic(Id holder, Protocol protocol) const {
  const auto found = holdings_.find(holder);
  return found == holdings_.end() ? 0 : found->second.dynamic[index_of(protocol)];
}

std::uint32_t PortHolders::leases(Id holder, Protocol protocol) const {
  const auto found = holdings_.find(holder);
  return found == holdings_.end() ? 0 : found->second.leases[index_of(protocol)];
}

}  // namespace tlsmux::ports
