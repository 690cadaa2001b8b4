// Ports on lease: what clients have taken, what they are offered, and what is taken back from them.

#include <algorithm>

#include "engine/ports/port_desk.hpp"

namespace tlsmux::engine {

// The book learns of it. False: the client has written what it must not.
bool PortDesk::settle(Seat& seat, const ports::LeaseNews& news) {
  auto& book = groups_[seat.client.group]->book();
  const auto now_ns = world_.now_ns();
  for (const auto port : news.taken) book.lease_taken(port, now_ns);
  for (const auto port : news.returned) book.lease_returned(port, now_ns);
  seat.took_lately = seat.took_lately || !news.taken.empty();
  if (news.is_rule_broken) offend(seat, "it wrote into the words of its port leases what only the engine writes");
  return !seat.is_offender;
}

void PortDesk::take_back_leases(Seat& seat) {
  for (const auto protocol : ports::kProtocols) settle(seat, seat.leases.take_back(protocol));
}

void PortDesk::give_leases(Seat& seat, ports::Protocol protocol) {
  auto& group = *groups_[seat.client.group];
  while (seat.leases.has_room(protocol) && group.tables().has_room()) {
    const auto number = group.book().lease(protocol, seat.client.owner, world_.now_ns());
    if (!number) break;
    seat.leases.offer({.protocol = protocol, .number = *number});
    publish(group);  // so that the table tells whether there is room for another
  }
}

// Nobody goes without while others have ports in store that they do not use.
void PortDesk::make_room(const Seat& asker, ports::Protocol protocol) {
  auto& book = groups_[asker.client.group]->book();
  for (auto& [id, seat] : seats_) {
    if (book.free_count(protocol) != 0) return;
    if (seat.client.group != asker.client.group) continue;
    settle(seat, seat.leases.take_back(protocol));
  }
}

void PortDesk::make_room(std::uint32_t group, ports::Port port) {
  const auto* const entry = groups_[group]->book().find(port);
  if (entry == nullptr || entry->state != shm::PortState::leased) return;
  if (auto* const seat = find(entry->owner.client_id)) {
    settle(*seat, seat->leases.take_back_port(port));
  }
}

// From those that have not taken any since the last sweep.
void PortDesk::relieve_scarcity() {
  for (auto& [id, seat] : seats_) {
    const auto& group = groups_[seat.client.group];
    if (group == nullptr || seat.has_left || std::exchange(seat.took_lately, false)) continue;
    for (const auto protocol : ports::kProtocols) {
      const bool has_any = seat.leases.offered(protocol) != 0;
      if (has_any && group->book().is_scarce(protocol)) settle(seat, seat.leases.take_back(protocol));
    }
  }
}

}  // namespace tlsmux::engine
