#include <algorithm>
#include <array>
#include <cerrno>

#include "shm/port_lease.hpp"
#include "tests/ports/port_model.hpp"

namespace tlsmux::test {

using ports::kProtocols;
using ports::Protocol;
using shm::PortClaimKind;
using shm::PortState;

namespace {

constexpr std::uint64_t kDelayNs = 1'000'000'000;
constexpr std::array kLabels{"", "", "", "A", "B", "C", "D"};

ports::PortSet range(std::uint16_t from, std::uint16_t to) {
  ports::PortSet set;
  set.add(ports::PortRange{from, to});
  return set;
}

}  // namespace

ports::PortPlan PortModel::any_plan() {
  ports::PortPlan plan;
  plan.service = "MODEL";
  plan.reuse_delay_ns = kDelayNs;
  plan.per_process_max = happens(70) ? static_cast<std::uint32_t>(4 + chance(8)) : 0;
  plan.free_min = static_cast<std::uint32_t>(chance(4));
  plan.leases_per_process = static_cast<std::uint32_t>(chance(5));
  const auto from = static_cast<std::uint16_t>(1000 + chance(20));
  plan.dynamic = {range(from, from + 25), range(from, from + 12)};
  for (const std::uint16_t number : {std::uint16_t{995}, std::uint16_t{996}, static_cast<std::uint16_t>(from + 3)}) {
    const auto protocol = number == 996 ? Protocol::udp : Protocol::tcp;
    plan.static_ports.push_back({.port = {protocol, number},
                                 .label = "S" + std::to_string(plan.static_ports.size()),
                                 .program = number == 995 ? "till" : ""});
    plan.dynamic[index_of(protocol)].remove(number);
  }
  return plan;
}

// A dead process's number is used again where an inode tells the two apart.
void PortModel::spawn() {
  Process process;
  process.is_member = happens(85);
  process.owner.uid = process.is_member ? 500 : 900 + static_cast<std::uint32_t>(chance(2));
  process.owner.pidfd_inode = happens(70) ? ++last_inode_ : 0;
  process.owner.program = happens(50) ? "till" : "batch";
  for (std::uint32_t pid = 100;; ++pid) {
    const bool is_free = std::ranges::none_of(processes_, [&](const auto& each) {
      if (each.owner.pid != pid) return false;
      const bool are_told_apart = each.owner.pidfd_inode != 0 && process.owner.pidfd_inode != 0;
      return each.is_alive || !are_told_apart;
    });
    if (!is_free) continue;
    process.owner.pid = pid;
    break;
  }
  processes_.push_back(process);
}

std::size_t PortModel::any_process() {
  std::vector<std::size_t> alive;
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    if (processes_[i].is_alive) alive.push_back(i);
  }
  if (alive.size() < 3 || (alive.size() < 9 && happens(10))) {
    spawn();
    return processes_.size() - 1;
  }
  return alive[chance(alive.size())];
}

void PortModel::granted(Port port, std::size_t process, const std::string& label) {
  did("granted", port, process);
  may_be_given(port, process, label);
  const auto& plan = book_->plan();
  const bool is_dynamic = plan.dynamic[index_of(port.protocol)].contains(port.number);
  const bool is_again = last_owner_.contains(port) && last_owner_.at(port) == process;
  if (is_dynamic && !is_again && plan.per_process_max != 0) {
    std::size_t owned = 1;
    for (const auto& [each, claim] : claims_) {
      if (claim.process == process && plan.dynamic[index_of(each.protocol)].contains(each.number)) ++owned;
    }
    // Like a claim, a lease does not count while its port is a static one by other settings.
    for (const auto& [each, lease] : leases_) {
      owned += lease.process == process && lease.until_ns == 0 && !lease.is_taken &&
               plan.dynamic[index_of(each.protocol)].contains(each.number);
    }
    if (owned > plan.per_process_max) fail(port, "a process has more ports than it may");
  }
  const auto socket = sockets_.find(port);
  const bool is_bound =
      socket != sockets_.end() && socket->second.is_claimed && socket->second.holders.contains(process);
  claims_[port] = {.process = process, .was_bound = is_bound, .granted_ns = now_ns_};
  last_owner_[port] = process;
  const auto lease = leases_.find(port);
  if (lease != leases_.end() && lease->second.until_ns != 0) leases_.erase(lease);
  if (sweep_) sweep_->absent_claims.erase(port);
  if (!label.empty() && is_dynamic) labels_[{port.protocol, label}] = port;
  if (socket != sockets_.end() && !is_bound) bind_or_give_up(port, process);
}

void PortModel::claim_dynamic() {
  const auto process = any_process();
  if (!processes_[process].is_member) return;
  const std::string label = kLabels[chance(kLabels.size())];
  const auto protocol = kProtocols[chance(2)];
  const bool was_free = book_->free_count(protocol) != 0;
  const auto port = book_->claim(
      {.kind = PortClaimKind::dynamic, .protocol = protocol, .label = label, .owner = processes_[process].owner},
      now_ns_);
  if (port) {
    granted({protocol, *port}, process, label);
  } else if (port.error().error != EADDRINUSE || (was_free && book_->plan().per_process_max == 0)) {
    fail("a dynamic claim was refused: " + port.error().text);
  }
}

void PortModel::claim_number() {
  const auto process = any_process();
  if (!processes_[process].is_member) return;
  const Port port{kProtocols[chance(2)], static_cast<std::uint16_t>(993 + chance(60))};
  const auto outcome = book_->claim({.kind = PortClaimKind::number,
                                     .protocol = port.protocol,
                                     .number = port.number,
                                     .owner = processes_[process].owner},
                                    now_ns_);
  if (outcome) {
    granted(port, process, "");
  } else if (!book_->plan().contains(port) && outcome.error().error != EACCES) {
    fail("a number that is not the group's was refused otherwise than with EACCES");
  } else if (book_->plan().contains(port) && outcome.error().error == EACCES && port.number != 995) {
    fail("a number of the group's was refused with EACCES");
  }
}

void PortModel::claim_static() {
  const auto process = any_process();
  if (!processes_[process].is_member) return;
  const std::string label = happens(50) ? "S" + std::to_string(chance(3)) : "";
  const auto protocol = kProtocols[chance(2)];
  const auto port = book_->claim(
      {.kind = PortClaimKind::labelled, .protocol = protocol, .label = label, .owner = processes_[process].owner},
      now_ns_);
  if (!port) return;
  if (*port == 995 && processes_[process].owner.program != "till") fail("a static port went to another program");
  granted({protocol, *port}, process, "");
}

void PortModel::bind_or_give_up(Port port, std::size_t process) {
  if (bind(port, process, true)) {
    did("bound", port, process);
    claims_[port].was_bound = true;
    claims_[port].sweeps_absent = 0;
    if (sweep_) sweep_->absent_claims.erase(port);
    return;
  }
  claims_.erase(port);
  if (sockets_.at(port).holders.contains(process)) {  // its own, from before the claim, which it need not know
    if (happens(50) && book_->doubt(port, processes_[process].owner)) did("doubted", port, process);
    return;
  }
  did("in use", port, process);
  if (!book_->release(port, processes_[process].owner, true, now_ns_)) fail(port, "is in use, and was not released");
  // What has passed for the owner's socket by its user goes on doing so: the owner may claim the port again.
  auto& socket = sockets_.at(port);
  const auto* const entry = book_->find(port);
  const bool passes = socket.uid == processes_[process].owner.uid && entry != nullptr &&
                      entry->state != PortState::external && entry->socket_inode == socket.inode;
  if (!passes) last_owner_.erase(port);
  // Else it is nobody's from now on, also where it was inherited from the owner before.
  if (entry != nullptr && entry->state == PortState::external) {
    socket.is_claimed = false;
    socket.is_known = true;
  }
}

// The book was told that this process has a socket there. A member whom it has given the port for it, such as the child
// of a dead owner, is its owner as if it had claimed it, and may claim it again.
void PortModel::told_of_holder(Port port, std::size_t process) {
  const auto& owner = processes_[process].owner;
  const auto* const entry = book_->find(port);
  if (!processes_[process].is_member || entry == nullptr || entry->state != PortState::bound) return;
  if (entry->owner.pid == owner.pid && entry->owner.pidfd_inode == owner.pidfd_inode) last_owner_[port] = process;
}

void PortModel::bind_claimed() {
  if (claims_.empty()) return;
  const auto [port, claim] = *any_of(claims_);
  if (!processes_[claim.process].is_alive || claim.was_bound) return;
  if (!claim.was_seen) return bind_or_give_up(port, claim.process);
  // By a bind of before it counts as closed, and may be given up in this moment: nothing is said of it any more.
  const auto process = claim.process;
  claims_.erase(port);
  bind(port, process, false);
}

void PortModel::release() {
  if (claims_.empty()) return;
  const auto [port, claim] = *any_of(claims_);
  if (!processes_[claim.process].is_alive) return;
  const auto stranger = any_process();
  if (stranger != claim.process && book_->release(port, processes_[stranger].owner, false, now_ns_)) {
    fail(port, "was released by another than its owner");
  }
  if (leases_.contains(port)) tell_lease(port);
  const bool closes_first = happens(70);
  if (closes_first) close(port, claim.process);
  did("released", port, claim.process);
  if (!book_->release(port, processes_[claim.process].owner, false, now_ns_)) fail(port, "could not be released");
  claims_.erase(port);
  if (!closes_first && happens(50)) close(port, claim.process);
}

void PortModel::offer_lease() {
  const auto process = any_process();
  if (!processes_[process].is_member) return;
  const auto protocol = kProtocols[chance(2)];
  const auto number = book_->lease(protocol, processes_[process].owner, now_ns_);
  if (!number) return;
  const Port port{protocol, *number};
  did("leased", port, process);
  if (book_->free_count(protocol) < book_->plan().free_min) fail("a lease has left too few ports free");
  may_be_given(port, process, "");
  leases_[port] = {.process = process};
  last_owner_.erase(port);
}

// Also of an engine that is dead, as long as it is trusted.
void PortModel::take_lease() {
  if (leases_.empty()) return;
  const auto place = any_of(leases_);
  const auto port = place->first;
  auto& lease = place->second;
  if (lease.is_taken || !processes_[lease.process].is_alive) return;
  if (lease.until_ns != 0 && lease.until_ns < now_ns_) return;
  did(lease.until_ns == 0 ? "lease taken" : "lease of a dead engine taken", port, lease.process);
  last_owner_[port] = lease.process;
  if (lease.until_ns != 0) {
    const auto process = lease.process;
    leases_.erase(place);
    if (bind(port, process, true)) claims_[port] = {.process = process, .was_bound = true};
    return;
  }
  lease.is_taken = true;
  claims_[port] = {.process = lease.process};
  if (sockets_.contains(port)) tell_lease(port);
  bind_or_give_up(port, claims_[port].process);
}

void PortModel::tell_lease(Port port) {
  const auto lease = leases_.at(port);
  if (lease.until_ns != 0) return;
  leases_.erase(port);
  if (lease.is_taken) {
    book_->lease_taken(port, now_ns_);
    if (sweep_) sweep_->absent_claims.erase(port);
  } else {
    did("lease returned", port, lease.process);
    book_->lease_returned(port, now_ns_);
  }
}

void PortModel::tell_leases() {
  if (leases_.empty()) return;
  const auto [port, lease] = *any_of(leases_);
  if (lease.is_taken || happens(30)) tell_lease(port);
}

void PortModel::tell_death() {
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    if (!processes_[i].is_alive && !processes_[i].is_told && happens(50)) return tell_death_of(i);
  }
}

void PortModel::tell_death_of(std::size_t process) {
  std::vector<Port> leased;
  for (const auto& [port, lease] : leases_) {
    if (lease.process == process) leased.push_back(port);
  }
  for (const auto port : leased) {
    if (leases_.at(port).is_taken || happens(50)) tell_lease(port);
    leases_.erase(port);
  }
  book_->owner_died(processes_[process].owner, now_ns_);
  processes_[process].is_told = true;
}

void PortModel::pass_time() {
  now_ns_ += chance(4) * kDelayNs / 4 + chance(1000);
  const auto due = book_->expire(now_ns_);
  if (due != 0 && due <= now_ns_) fail("time has passed, and the book did not see it");
  for (const auto& [port, process, at_ns] : binds_to_tell_) {
    if (processes_[process].is_told || !book_->plan().contains(port)) continue;
    const auto lease = leases_.find(port);
    if (lease != leases_.end() && lease->second.until_ns != 0) continue;
    did("bind seen", port, process);
    book_->bind_seen(port, processes_[process].owner, at_ns, now_ns_);
    told_of_holder(port, process);
    // Absent in three sweeps from now on, the port is given up; but what was bound before it was granted says nothing.
    const auto claim = claims_.find(port);
    const bool is_owners = claim != claims_.end() && claim->second.process == process;
    if (is_owners && at_ns >= claim->second.granted_ns) claim->second.was_seen = true;
  }
  binds_to_tell_.clear();
}

// What is not dynamic before and after it knows no delay, and strangers are to be seen anew.
void PortModel::replan() {
  did("replanned");
  const auto before = book_->plan();
  book_->replan(any_plan(), now_ns_);
  std::erase_if(closed_ns_, [&](const auto& each) {
    const auto [protocol, number] = each.first;
    return !before.dynamic[index_of(protocol)].contains(number) ||
           !book_->plan().dynamic[index_of(protocol)].contains(number);
  });
  for (auto& [port, socket] : sockets_) socket.is_known = false;
}

// The book is gone; what the table showed is all that the next one gets.
void PortModel::restart() {
  did("restarted");
  sweep_.reset();
  std::vector<ports::PortEntry> entries;
  for (const auto& [port, entry] : table_) entries.push_back(entry);
  for (const auto& [port, label] : shown_labels_) {
    if (!label.empty()) entries.push_back({.port = port, .owner = {}, .label = label});
  }
  // Of a claimed port the table tells since when; of others a late event is believed.
  for (auto& [port, claim] : claims_) {
    const auto shown = table_.find(port);
    const bool is_told = shown != table_.end() && shown->second.state == PortState::claimed;
    claim.granted_ns = is_told ? shown->second.since_ns : 0;
  }
  table_.clear();
  shown_labels_.clear();
  book_ = std::make_unique<ports::PortBook>(book_->plan());
  book_->adopt(entries, shm::kPortTrustNs, now_ns_);
  for (auto& process : processes_) {
    if (process.is_alive) continue;
    book_->owner_died(process.owner, now_ns_);
    process.is_told = true;
  }
  // Taken and closed again before the dead engine looked: nobody will ever know, whoever has bound it since.
  for (const auto& [port, lease] : leases_) {
    const auto socket = sockets_.find(port);
    if (!lease.is_taken || (socket != sockets_.end() && socket->second.is_claimed)) continue;
    claims_.erase(port);
    closed_ns_.erase(port);
  }
  std::erase_if(leases_,
                [this](const auto& each) { return each.second.is_taken || !processes_[each.second.process].is_alive; });
  for (auto& [port, lease] : leases_) {
    if (lease.until_ns == 0) lease.until_ns = now_ns_ + shm::kPortTrustNs;
  }
}

}  // namespace tlsmux::test
