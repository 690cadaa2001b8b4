// The kernel of the model: processes, sockets, and what a sweep sees of them.
#include <algorithm>

#include "tests/ports/port_model.hpp"

namespace tlsmux::test {

using ports::kProtocols;
using ports::Protocol;
using shm::PortState;

// Fails, as bind(2) does, if a socket is there.
bool PortModel::bind(Port port, std::size_t process, bool is_claimed) {
  if (sockets_.contains(port)) return false;
  sockets_[port] = {.port = port,
                    .inode = ++last_inode_,
                    .uid = processes_[process].owner.uid,
                    .holders = {process},
                    .is_claimed = is_claimed};
  if (processes_[process].is_member && happens(20))
    binds_to_tell_.push_back({.port = port, .process = process, .at_ns = now_ns_});
  return true;
}

void PortModel::close(Port port, std::size_t process) {
  const auto found = sockets_.find(port);
  if (found == sockets_.end()) return;
  found->second.holders.erase(process);
  did("closed", port, process);
  if (!found->second.holders.empty()) return;
  // A held back lease that was closed before the engine could see it taken was never a claim.
  const auto* const entry = book_->find(port);
  const bool is_unseen_lease =
      entry != nullptr && entry->state == PortState::leased && (!leases_.contains(port) || leases_[port].until_ns != 0);
  if (is_unseen_lease) claims_.erase(port);
  if (found->second.is_claimed && !is_unseen_lease) closed_ns_[port] = now_ns_;
  if (port.protocol == Protocol::tcp && happens(30))
    time_wait_[port] = now_ns_ + chance(3) * book_->plan().reuse_delay_ns;
  sockets_.erase(found);
}

void PortModel::fork() {
  const auto parent = any_process();
  if (processes_.size() > 4000) return;
  spawn();
  const auto child = processes_.size() - 1;
  processes_[child].is_member = processes_[parent].is_member;
  processes_[child].owner.uid = processes_[parent].owner.uid;
  for (auto& [port, socket] : sockets_) {
    if (socket.holders.contains(parent) && happens(70)) socket.holders.insert(child);
  }
}

void PortModel::kill(std::size_t process) {
  did("died");
  processes_[process].is_alive = false;
  std::vector<Port> held;
  for (const auto& [port, socket] : sockets_) {
    if (socket.holders.contains(process)) held.push_back(port);
  }
  for (const auto port : held) close(port, process);
  std::erase_if(claims_, [&](const auto& each) { return each.second.process == process; });
}

void PortModel::die() { kill(any_process()); }

void PortModel::begin_sweep(bool is_full) {
  book_->begin_sweep();
  sweep_.emplace();
  const auto wanted = book_->inodes_without_owner();
  for (const auto& [port, socket] : sockets_) {
    if (!is_full && book_->find(port) == nullptr) continue;
    auto& held = sweep_->held.emplace_back();
    held.port = port;
    held.socket_inode = socket.inode;
    held.uid = socket.uid;
    if (std::ranges::find(wanted, socket.inode) == wanted.end()) continue;
    const auto process = *socket.holders.begin();
    const auto& holder = processes_[process];
    sweep_->holders[port] = process;
    held.owner = holder.owner;
    held.is_member = holder.is_member;
  }
  for (const auto& [port, until_ns] : time_wait_) {
    if (until_ns > now_ns_) sweep_->held.push_back({.port = port, .is_time_wait = true});
  }
  for (const auto& [port, claim] : claims_) {
    if ((claim.was_bound || claim.was_seen) && !sockets_.contains(port)) sweep_->absent_claims.insert(port);
  }
}

void PortModel::finish_sweep() {
  did("swept");
  book_->finish_sweep(sweep_->held, now_ns_);
  for (const auto& held : sweep_->held) {
    const auto socket = sockets_.find(held.port);
    const auto* const entry = book_->find(held.port);
    using enum PortState;
    // A stranger has had the port already: there is no reuse to delay any more.
    if (entry != nullptr && entry->state == external) closed_ns_.erase(held.port);
    if (socket == sockets_.end() || socket->second.inode != held.socket_inode || entry == nullptr) continue;
    // A lease that was held back, and is over: by its user the socket passes for the owner's.
    const auto lease = leases_.find(held.port);
    if (lease != leases_.end() && lease->second.until_ns != 0 && lease->second.until_ns <= now_ns_ &&
        socket->second.uid == processes_[lease->second.process].owner.uid) {
      told_of_holder(held.port, lease->second.process);
    }
    socket->second.is_known = entry->state == bound || entry->state == external || entry->state == orphan;
  }
  for (const auto& [port, process] : sweep_->holders) told_of_holder(port, process);
  for (const auto port : sweep_->absent_claims) {
    const auto claim = claims_.find(port);
    if (claim != claims_.end() && ++claim->second.sweeps_absent == ports::kSweepsToBelieve) claims_.erase(claim);
  }
  sweep_.reset();
}

void PortModel::sweep() {
  if (sweep_) return finish_sweep();
  begin_sweep(happens(30));
  if (happens(50)) finish_sweep();
}

// Without a claim, by whoever it is. Where a port was claimed, nothing is said any more about whose it is.
void PortModel::bind_unclaimed() {
  const Port port{kProtocols[chance(2)], static_cast<std::uint16_t>(993 + chance(60))};
  const auto process = any_process();
  const auto lease = leases_.find(port);
  if (lease != leases_.end() && lease->second.until_ns != 0) return;
  if (!bind(port, process, false)) return;
  did("bound without a claim", port, process);
  if (lease == leases_.end()) claims_.erase(port);
  // A socket of the owner's user passes for the owner's.
  const auto owner = last_owner_.find(port);
  if (owner != last_owner_.end() && processes_[owner->second].owner.uid != processes_[process].owner.uid) {
    last_owner_.erase(owner);
  }
}

// After three sweeps without it the port is nobody's; a child may have it still.
void PortModel::close_silently() {
  if (sockets_.empty()) return;
  const auto [port, socket] = *any_of(sockets_);
  const auto holders = socket.holders;
  close(port, *any_of(holders));
}

}  // namespace tlsmux::test
