// What an order for a port comes to.
#include <algorithm>

#include "ports/book/port_book.hpp"
#include "ports/book/port_refusals.hpp"

namespace tlsmux::ports {

using shm::PortClaimKind;
using shm::PortState;

std::expected<std::uint16_t, ClaimRefusal> PortBook::claim(const ClaimOrder& order, std::uint64_t now_ns) {
  auto port = choose(order);
  if (!port) {
    ++claims_refused_;
    return std::unexpected(std::move(port.error()));
  }
  ++claims_;
  grant(*port, order, now_ns);
  return port->number;
}

PortBook::Claimed PortBook::choose(const ClaimOrder& order) {
  if (!PortHolders::is_known(order.owner)) return std::unexpected(refusals::unknown_process());
  switch (order.kind) {
    case PortClaimKind::dynamic: return choose_dynamic(order);
    case PortClaimKind::labelled: return choose_labelled(order);
    case PortClaimKind::number: break;
  }
  return choose_number(order);
}

// The record of the port that the order's label had last, if it is not free.
const PortBook::Record* PortBook::labels_record(const ClaimOrder& order) const {
  const auto port = order.label.empty() ? std::nullopt : labels_.find(order.protocol, order.label);
  return port ? record_of(*port) : nullptr;
}

PortBook::Claimed PortBook::choose_dynamic(const ClaimOrder& order) {
  if (const auto* const record = labels_record(order); record != nullptr && record->holder != PortHolders::kNobody &&
                                                       record->holder == holders_.find(order.owner) &&
                                                       !record->is_doubted) {
    return record->entry.port;
  }
  if (has_its_fill(order)) return std::unexpected(refusals::has_its_fill(plan_));
  if (!order.label.empty()) {
    const auto port = labels_.find(order.protocol, order.label);
    const auto* const record = labels_record(order);
    if (port && (record == nullptr || record->entry.state == PortState::quarantine)) return *port;
  }
  const auto number = pools_[index_of(order.protocol)].take_any();
  if (!number) return std::unexpected(refusals::no_dynamic_port(plan_, order.protocol));
  const Port port{.protocol = order.protocol, .number = *number};
  if (labels_.is_remembered(port)) {
    labels_.forget(port);  // whose it was has waited too long
    relabelled_.insert(port);
  }
  return port;
}

PortBook::Claimed PortBook::choose_labelled(const ClaimOrder& order) const {
  if (!order.label.empty()) {
    const auto found = static_labels_.find({order.protocol, order.label});
    if (found == static_labels_.end()) {
      const auto other = order.protocol == Protocol::tcp ? Protocol::udp : Protocol::tcp;
      return std::unexpected(
          refusals::no_such_label(plan_, order.protocol, static_labels_.contains({other, order.label})));
    }
    if (auto refusal = check_program(*found->second, order.owner)) return std::unexpected(std::move(*refusal));
    return check_taken(found->second->port, order);
  }
  std::optional<ClaimRefusal> refusal;
  bool may_have_one = false;
  for (const auto& each : plan_.static_ports) {
    if (each.port.protocol != order.protocol) continue;
    if (auto other_program = check_program(each, order.owner)) {
      refusal = std::move(other_program);
      continue;
    }
    if (record_of(each.port) == nullptr) return each.port;
    may_have_one = true;
  }
  if (may_have_one) return std::unexpected(refusals::no_static_port_free(plan_, order.protocol));
  return std::unexpected(refusal ? std::move(*refusal) : refusals::no_static_port(plan_, order.protocol));
}

PortBook::Claimed PortBook::choose_number(const ClaimOrder& order) const {
  const Port port{.protocol = order.protocol, .number = order.number};
  if (!is_planned(port)) return std::unexpected(refusals::not_in_plan(plan_, port));
  if (const auto* const fixed = find_static(port)) {
    if (auto refusal = check_program(*fixed, order.owner)) return std::unexpected(std::move(*refusal));
    return check_taken(port, order);
  }
  auto choice = check_taken(port, order);
  if (choice && record_of(port) == nullptr && has_its_fill(order))
    return std::unexpected(refusals::has_its_fill(plan_));
  return choice;
}

// Free, or the owner's own.
PortBook::Claimed PortBook::check_taken(Port port, const ClaimOrder& order) const {
  const auto* const record = record_of(port);
  if (record == nullptr) return port;
  if (record->holder != PortHolders::kNobody && record->holder == holders_.find(order.owner) && !record->is_on_offer) {
    return port;
  }
  return std::unexpected(refusals::taken(plan_, record->entry, is_dead(*record)));
}

std::optional<ClaimRefusal> PortBook::check_program(const PortPlan::StaticPort& port, const PortOwner& owner) const {
  if (port.program.empty() || port.program == owner.program) return std::nullopt;
  return refusals::other_program(plan_, port);
}

bool PortBook::has_its_fill(const ClaimOrder& order) const {
  if (plan_.per_process_max == 0 || (order.flags & shm::kPortEngine) != 0) return false;
  const auto holder = holders_.find(order.owner);
  return holders_.dynamic(holder, Protocol::tcp) + holders_.dynamic(holder, Protocol::udp) >= plan_.per_process_max;
}

void PortBook::grant(Port port, const ClaimOrder& order, std::uint64_t now_ns) {
  auto* record = record_of(port);
  const bool is_own = record != nullptr && record->holder != PortHolders::kNobody;
  if (record != nullptr && !is_own) erase(port);  // its label's, from quarantine
  if (!is_own) {
    record = &enter(port, PortState::claimed, order.owner, now_ns);
    give_to(*record, holders_.enter(order.owner));
  }
  // Again from the beginning, also where it was bound and closed: the owner is about to bind it.
  set_alarm(*record, 0);
  set_state(*record, PortState::claimed, now_ns);
  record->changed_in = sweeps_begun_;
  record->granted_ns = now_ns;
  record->absences = 0;
  set_released(*record, false);
  record->is_doubted = false;
  const auto flag = order.flags & shm::kPortEngine;
  if ((record->entry.flags & (shm::kPortEngine | shm::kPortObserved)) != flag) {
    will_change(port);
    record->entry.flags &= static_cast<std::uint8_t>(~(shm::kPortEngine | shm::kPortObserved));
    record->entry.flags |= static_cast<std::uint8_t>(flag);
  }
  if (order.kind == PortClaimKind::dynamic) label(*record, order.label);
}

bool PortBook::sweep_may_help(const ClaimOrder& order) const {
  const auto is_waiting = [this](Port port) {
    const auto* const record = record_of(port);
    return record != nullptr && is_unsettled(*record);
  };
  switch (order.kind) {
    case PortClaimKind::number: return is_waiting({.protocol = order.protocol, .number = order.number});
    case PortClaimKind::labelled:
      return std::ranges::any_of(plan_.static_ports, [&](const auto& each) {
        return each.port.protocol == order.protocol && (order.label.empty() || each.label == order.label) &&
               is_waiting(each.port);
      });
    case PortClaimKind::dynamic: break;
  }
  if (const auto* const record = labels_record(order); record != nullptr && is_unsettled(*record)) return true;
  if (free_count(order.protocol) != 0 && !has_its_fill(order)) return false;
  return std::ranges::any_of(
      records_, [&](const auto& each) { return each.first.protocol == order.protocol && is_unsettled(each.second); });
}

std::vector<PortOwner> PortBook::owners_in_the_way(const ClaimOrder& order) const {
  std::vector<PortOwner> owners;
  const auto add = [&](const Record* record) {
    const bool is_held = record != nullptr && record->holder != PortHolders::kNobody && record->entry.owner.pid != 0;
    if (is_held && record->holder != holders_.find(order.owner)) owners.push_back(record->entry.owner);
  };
  switch (order.kind) {
    case PortClaimKind::number: add(record_of({.protocol = order.protocol, .number = order.number})); break;
    case PortClaimKind::dynamic: add(labels_record(order)); break;
    case PortClaimKind::labelled:
      for (const auto& each : plan_.static_ports) {
        if (each.port.protocol == order.protocol && (order.label.empty() || each.label == order.label)) {
          add(record_of(each.port));
        }
      }
  }
  return owners;
}

}  // namespace tlsmux::ports
