#include "tests/ports/port_model.hpp"

#include <array>

namespace tlsmux::test {

using ports::kProtocols;
using ports::PortEntry;
using shm::PortState;

namespace {

// All plans lie within.
constexpr std::uint16_t kFirst = 990;
constexpr std::uint16_t kLast = 1070;

template <class Visit>
void each_port(Visit visit) {
  for (const auto protocol : kProtocols) {
    for (auto number = kFirst; number <= kLast; ++number) visit(ports::Port{protocol, number});
  }
}

std::string shown(ports::Port port) { return std::string(name(port.protocol)) + " " + std::to_string(port.number); }

}  // namespace

PortModel::PortModel(std::uint64_t seed) : random_(seed) {
  book_ = std::make_unique<ports::PortBook>(any_plan());
  for (int i = 0; i < 6; ++i) spawn();
}

bool PortModel::step() {
  using Act = void (PortModel::*)();
  struct Weighted {
    std::uint64_t weight;
    Act act;
  };
  static constexpr std::array kActs{Weighted{12, &PortModel::claim_dynamic},
                                    Weighted{5, &PortModel::claim_number},
                                    Weighted{4, &PortModel::claim_static},
                                    Weighted{14, &PortModel::bind_claimed},
                                    Weighted{7, &PortModel::release},
                                    Weighted{4, &PortModel::close_silently},
                                    Weighted{8, &PortModel::offer_lease},
                                    Weighted{7, &PortModel::take_lease},
                                    Weighted{5, &PortModel::tell_leases},
                                    Weighted{5, &PortModel::fork},
                                    Weighted{5, &PortModel::die},
                                    Weighted{6, &PortModel::tell_death},
                                    Weighted{3, &PortModel::bind_unclaimed},
                                    Weighted{18, &PortModel::sweep},
                                    Weighted{10, &PortModel::pass_time},
                                    Weighted{1, &PortModel::replan},
                                    Weighted{1, &PortModel::restart}};
  std::uint64_t sum = 0;
  for (const auto& each : kActs) sum += each.weight;
  auto point = chance(sum);
  ++now_ns_;  // no two things happen at the same time
  for (const auto& each : kActs) {
    if (point < each.weight) {
      (this->*each.act)();
      break;
    }
    point -= each.weight;
  }
  check();
  return failure_.empty();
}

bool PortModel::end() {
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    if (processes_[i].is_alive) kill(i);
  }
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    if (!processes_[i].is_told) tell_death_of(i);
  }
  binds_to_tell_.clear();
  sweep_.reset();
  for (int i = 0; i < 2 * ports::kSweepsToBelieve; ++i) {
    begin_sweep(true);
    finish_sweep();
    check();
    now_ns_ += 3'600'000'000'000;
    static_cast<void>(book_->expire(now_ns_));
  }
  each_port([this](Port port) {
    if (book_->find(port) != nullptr) fail(port, "has leaked");
  });
  for (const auto protocol : kProtocols) {
    if (book_->free_count(protocol) != book_->plan().dynamic[index_of(protocol)].count())
      fail("free ports have leaked");
  }
  if (book_->wants_sweep() || book_->expire(now_ns_) != 0) fail("something is still waited for");
  return failure_.empty();
}

void PortModel::fail(const std::string& text) {
  if (failure_.empty()) failure_ = text;
}

void PortModel::fail(Port port, const std::string& text) {
  const auto history = histories_.find(port);
  fail(shown(port) + " " + text + "; before:" + (history == histories_.end() ? " nothing" : history->second));
}

void PortModel::did(const std::string& what, Port port, std::size_t process) {
  did(what);
  histories_[port] +=
      " " + what + " (process " + std::to_string(process) + ", sweep " + std::to_string(happened_["swept"]) + ");";
}

// Whether the port could be given to this process, by the reference.
void PortModel::may_be_given(Port port, std::size_t process, const std::string& label) {
  const auto claim = claims_.find(port);
  if (claim != claims_.end() && claim->second.process != process && processes_[claim->second.process].is_alive) {
    fail(port, "has two owners");
  }
  const bool is_own = last_owner_.contains(port) && last_owner_.at(port) == process;
  const auto lease = leases_.find(port);
  if (lease != leases_.end() && (lease->second.process != process || lease->second.until_ns == 0)) {
    const bool is_over = lease->second.until_ns != 0 && lease->second.until_ns < now_ns_;
    if (!is_over && processes_[lease->second.process].is_alive) fail(port, "is on lease, and was given out");
  }
  const auto socket = sockets_.find(port);
  if (socket != sockets_.end() && !is_own && !socket->second.holders.contains(process) &&
      (socket->second.is_claimed || socket->second.is_known)) {
    fail(port, "was given out with a socket on it");
  }
  const bool is_static = !book_->plan().dynamic[index_of(port.protocol)].contains(port.number);
  const auto closed = closed_ns_.find(port);
  const auto bore = labels_.find({port.protocol, label});
  const bool is_labels = !label.empty() && bore != labels_.end() && bore->second == port;
  if (closed != closed_ns_.end() && !is_static && !is_own && !is_labels &&
      now_ns_ < closed->second + book_->plan().reuse_delay_ns) {
    fail(port, "was given out before its reuse delay was over");
  }
}

void PortModel::check() {
  for (const auto& [port, claim] : claims_) {
    const auto* const entry = book_->find(port);
    if (entry == nullptr) {
      fail(port, "is claimed, and free");
    } else if (entry->owner.pid != processes_[claim.process].owner.pid ||
               entry->owner.pidfd_inode != processes_[claim.process].owner.pidfd_inode) {
      fail(port, "is claimed, and another's");
    } else if (entry->state == PortState::quarantine || entry->state == PortState::external) {
      fail(port, "is claimed, and not its owner's any more");
    }
  }
  for (const auto& [port, lease] : leases_) {
    const auto* const entry = book_->find(port);
    const bool is_on_offer = lease.until_ns == 0 && !processes_[lease.process].is_told;
    if (is_on_offer && (entry == nullptr || entry->state != PortState::leased)) fail(port, "was on lease");
  }
  for (const auto& [port, socket] : sockets_) {
    if (!socket.is_claimed) continue;
    const auto* const entry = book_->find(port);
    if (entry == nullptr) {
      fail(port, "is free, and a member's socket holds it");
    } else if (entry->state == PortState::quarantine) {
      fail(port, "is in quarantine, and a member's socket holds it");
    }
  }
  check_counts();
  check_changes();
}

void PortModel::check_counts() {
  std::array<std::size_t, 2> taken{};
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::array<std::uint32_t, 2>> held;
  each_port([&](Port port) {
    const auto* const entry = book_->find(port);
    if (entry == nullptr) return;
    if (book_->plan().dynamic[index_of(port.protocol)].contains(port.number)) ++taken[index_of(port.protocol)];
    const bool is_owned =
        entry->state == PortState::leased || entry->state == PortState::claimed || entry->state == PortState::bound;
    if (is_owned && (entry->flags & shm::kPortStatic) == 0) {
      ++held[{entry->owner.pid, entry->owner.pidfd_inode}][index_of(port.protocol)];
    }
  });
  for (const auto protocol : kProtocols) {
    const auto all = book_->plan().dynamic[index_of(protocol)].count();
    if (taken[index_of(protocol)] + book_->free_count(protocol) != all) fail("the count of free ports is wrong");
  }
  for (const auto& process : processes_) {
    if (!process.is_alive) continue;
    for (const auto protocol : kProtocols) {
      const auto known = held[{process.owner.pid, process.owner.pidfd_inode}][index_of(protocol)];
      if (book_->held_by(protocol, process.owner) != known) fail("the count of a process's ports is wrong");
    }
  }
}

void PortModel::check_changes() {
  const auto changes = book_->take_changes();
  std::set<Port> told;
  for (const auto port : changes) {
    if (!told.insert(port).second) fail(port, "is told twice");
  }
  each_port([&](Port port) {
    const auto* const now = book_->find(port);
    const auto before = table_.find(port);
    const auto label = book_->remembered_label(port);
    const bool has_same_label = shown_labels_[port] == label;
    const bool is_same =
        has_same_label && (now == nullptr ? before == table_.end() : before != table_.end() && before->second == *now);
    shown_labels_[port] = label;
    if (is_same == told.contains(port)) fail(port, is_same ? "is told and the same" : "has changed untold");
    if (now == nullptr) {
      table_.erase(port);
    } else {
      table_.insert_or_assign(port, *now);
    }
  });
}

}  // namespace tlsmux::test
