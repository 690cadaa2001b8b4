// What clients ask for.

#include <algorithm>
#include <cerrno>

#include "config/check/value_rules.hpp"
#include "engine/ports/port_desk.hpp"

namespace tlsmux::engine {
namespace {

std::optional<ports::Protocol> protocol_of(std::uint32_t bit) {
  for (const auto protocol : ports::kProtocols) {
    if (bit == ports::bit_of(protocol)) return protocol;
  }
  return std::nullopt;
}

ports::ClaimRefusal offence() { return {.error = EPROTO, .text = "the client is detached"}; }

ports::ClaimRefusal unknown_to_guard() {
  return {.error = ECONNREFUSED,
          .text = "tlsmuxd is ending or cannot tell the guard of this process, so that binding would fail; try again"};
}

}  // namespace

std::expected<shm::ClaimPortReply, ports::ClaimRefusal> PortDesk::claim(ClientId id,
                                                                        const shm::ClaimPortRequest& request) {
  auto* const seat = find_served(id);
  if (seat == nullptr) {
    return Refused({.error = ENOENT, .text = "the group was removed from the engine's configuration"});
  }
  auto& group = *groups_[seat->client.group];
  heed_new_plans();
  if (seat->is_offender || !look_at_leases(*seat)) return Refused(offence());
  if (seat->is_unknown_to_guard) admit(*seat);
  if (seat->is_unknown_to_guard) return Refused(unknown_to_guard());
  publish(group);
  const auto order = order_of(*seat, request);
  if (!order) return Refused(order.error());
  if (!group.tables().has_room()) {
    return Refused({.error = EADDRINUSE,
                    .text = "the table of group " + group.name() +
                            "'s ports is full: ports that a refresh took away are still held by many"});
  }
  if (order->kind == shm::PortClaimKind::dynamic) make_room(*seat, order->protocol);
  if (order->kind == shm::PortClaimKind::number) {
    make_room(seat->client.group, {.protocol = order->protocol, .number = order->number});
  }
  // The process that had it may have ended a moment ago.
  bury_dead_owners(seat->client.group, *order);
  if (group.book().sweep_may_help(*order) && (has_buried_ || world_.now_ns() >= rested_at_ns_)) sweep();
  if (seat->is_offender) return Refused(offence());
  const auto now_ns = world_.now_ns();
  const auto port = group.book().claim(*order, now_ns);
  if (port && !is_same_process(order->owner, seat->client.owner)) {
    if (const auto watched = watch_for(*seat, order->owner); !watched) {
      group.book().release({.protocol = order->protocol, .number = *port}, order->owner, false, now_ns);
      publish(group);
      return Refused(watched.error());
    }
  }
  if (request.leases != 0) {
    seat->wants_leases[index_of(order->protocol)] = true;
    give_leases(*seat, order->protocol);
  }
  publish(group);
  if (!port) {
    const ports::Port wanted{.protocol = order->protocol, .number = order->number};
    const auto has_it = [&](const auto& each) { return each != nullptr && each->book().plan().contains(wanted); };
    const bool is_nobodys = order->kind == shm::PortClaimKind::number && std::ranges::none_of(groups_, has_it);
    return Refused(is_nobodys ? ports::ClaimRefusal{ENOENT, "no group has this port: anybody may bind it"}
                              : port.error());
  }
  const bool share_port = order->protocol == ports::Protocol::tcp && !group.enforcement().holder_sockets.empty();
  return shm::ClaimPortReply{.header = {}, .port = *port, .share_port = share_port ? 1U : 0U};
}

std::expected<ports::ClaimOrder, ports::ClaimRefusal> PortDesk::order_of(Seat& seat,
                                                                         const shm::ClaimPortRequest& request) {
  const auto protocol = protocol_of(request.protocol);
  const bool is_kind = request.kind >= shm::PortClaimKind::dynamic && request.kind <= shm::PortClaimKind::number;
  if (!protocol || !is_kind || request.port > 0xffff) {
    offend(seat, "it claimed a port that makes no sense");
    return Refused(offence());
  }
  const auto label = shm::text_of(request.label);
  if (!label.empty()) {
    const auto kind = config::TextKind::port_label;
    if (label.size() == request.label.size() || config::text_problem(kind, config::Presence::required, label)) {
      return Refused({.error = EINVAL, .text = "a label must be " + std::string(config::expected_text(kind))});
    }
  }
  auto owner = owner_of(seat, request.owner_pid);
  if (!owner) return Refused(owner.error());
  return ports::ClaimOrder{.kind = request.kind,
                           .protocol = *protocol,
                           .number = static_cast<std::uint16_t>(request.port),
                           .label = label,
                           .owner = std::move(*owner)};
}

// The client, or a process of the same user that it names, which must be a member, too.
std::expected<ports::PortOwner, ports::ClaimRefusal> PortDesk::owner_of(Seat& seat, std::uint32_t pid) {
  const auto& client = seat.client;
  if (pid == 0 || pid == client.owner.pid) return client.owner;
  const auto process = world_.identify(pid);
  if (!process) return Refused({.error = process.error().code, .text = process.error().message});
  const auto number = "process " + std::to_string(pid);
  if (process->owner.uid != client.owner.uid) {
    return Refused({.error = EACCES,
                    .text = number + " is of uid " + std::to_string(process->owner.uid) + ", who asks is of uid " +
                            std::to_string(client.owner.uid)});
  }
  const auto& group = *groups_[client.group];
  if (!group.membership().is_member(process->owner.uid, process->gids)) {
    return Refused({.error = EACCES, .text = number + " is not a member of group " + group.name()});
  }
  if (const auto* const attached = find_process(client.group, process->owner)) return attached->client.owner;
  return process->owner;
}

// From now on its end is told. A process that is attached tells it anyway.
std::expected<void, ports::ClaimRefusal> PortDesk::watch_for(const Seat& seat, const ports::PortOwner& owner) {
  const auto& client = seat.client;
  if (owner.client_id != 0 || is_watched(client.group, owner)) return {};
  const auto asked = std::ranges::count_if(watched_, [&](const auto& each) { return each.second.asker == client.id; });
  if (static_cast<std::size_t>(asked) >= kNamedPerClientMax || watched_.size() >= kWatchedMax) {
    return Refused({.error = EAGAIN, .text = "ports are claimed in the name of too many other processes"});
  }
  auto process = world_.identify(owner.pid);
  const bool is_same = process && is_same_process(process->owner, owner);
  if (!is_same || !world_.watch(++last_number_, owner, std::move(process->pidfd))) {
    return Refused({.error = ESRCH, .text = "process " + std::to_string(owner.pid) + " has ended"});
  }
  watched_.emplace(last_number_, Watched{.group = client.group, .asker = client.id, .owner = owner});
  return {};
}

void PortDesk::release(ClientId id, const shm::ReleasePortRequest& request) {
  auto* const seat = find_served(id);
  const auto protocol = protocol_of(request.protocol);
  if (seat == nullptr) return;
  if (!protocol || request.port == 0 || request.port > 0xffff) {
    return offend(*seat, "it released a port that makes no sense");
  }
  if (!look_at_leases(*seat)) return;
  const auto owner = owner_of(*seat, request.owner_pid);
  if (!owner) return;  // who is dead has released it anyway
  auto& group = *groups_[seat->client.group];
  const auto now_ns = world_.now_ns();
  const ports::Port port{.protocol = *protocol, .number = static_cast<std::uint16_t>(request.port)};
  const bool is_done = request.in_use == shm::kInUseByAnyone
                           ? group.book().doubt(port, *owner)
                           : group.book().release(port, *owner, request.in_use != 0, now_ns);
  if (is_done) sweep_soon();
  publish(group);
}

void PortDesk::refill(ClientId id) {
  auto* const seat = find_served(id);
  if (seat == nullptr) return;
  heed_new_plans();
  if (seat->is_offender || !look_at_leases(*seat)) return;
  for (const auto protocol : ports::kProtocols) {
    if (seat->wants_leases[index_of(protocol)]) give_leases(*seat, protocol);
  }
  publish(*groups_[seat->client.group]);
}

// Not every owner's end is told: those of an engine before this one and those that were only seen are looked after in
// full sweeps. Who is restarted need not wait for these.
void PortDesk::bury_dead_owners(std::uint32_t group, const ports::ClaimOrder& order) {
  for (const auto& owner : groups_[group]->book().owners_in_the_way(order)) {
    if (!world_.is_alive(owner)) bury(group, owner);
  }
}

}  // namespace tlsmux::engine
