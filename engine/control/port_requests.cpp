// What clients ask for about ports: handlers of ClientRegistry, which hand on to the desk.

#include <cerrno>

#include "engine/control/client_registry.hpp"
#include "shm/system/pidfd.hpp"

namespace tlsmux::engine::control {

void ClientRegistry::show_to_port_desk(const Connection& connection) const {
  if (settings_.ports == nullptr) return;
  const auto& peer = *connection.peer;
  const auto& geometry = connection.memory.geometry;
  settings_.ports->client_attached({.id = connection.id,
                                    .group = connection.group,
                                    .owner = {.pid = static_cast<std::uint32_t>(peer.pid),
                                              .uid = peer.uid,
                                              .client_id = connection.id,
                                              .pidfd_inode = shm::pidfd_inode(peer.pidfd.get()),
                                              .program = peer.program},
                                    .gid = peer.gids.back(),
                                    .memory = connection.memory.mapping,
                                    .leases_offset = geometry.leases_offset()});
}

// The desk may go on watching the process.
void ClientRegistry::forget_at_port_desk(Connection& connection) {
  if (settings_.ports == nullptr) return;
  auto& pidfd = connection.peer->pidfd;
  if (pidfd) poll_.remove(pidfd.get());
  settings_.ports->client_forgotten(connection.id, std::move(pidfd));
}

bool ClientRegistry::is_served(ClientId id) const {
  const auto found = connections_.find(id);
  return found != connections_.end() && found->second.stage == Stage::serving;
}

void ClientRegistry::on_claim_port(Connection& connection, const shm::ClaimPortRequest& request) {
  if (!may_ask(connection)) return;
  if (settings_.ports == nullptr) return refuse(connection, {.error = ENOTSUP, .text = "this engine has no ports"});
  const auto id = connection.id;
  const auto port = settings_.ports->claim(id, request);
  detach_port_offenders();
  if (!is_served(id)) return;
  if (port) {
    send(connection, *port);
  } else {
    refuse(connection, {.error = port.error().error, .text = port.error().text});
  }
}

void ClientRegistry::on_release_port(Connection& connection, const shm::ReleasePortRequest& request) {
  if (connection.stage != Stage::serving) return detach(connection, EPROTO, "it releases a port before it is attached");
  if (settings_.ports != nullptr) settings_.ports->release(connection.id, request);
  detach_port_offenders();
}

void ClientRegistry::on_refill_ports(Connection& connection, const shm::RefillPortsRequest& /*request*/) {
  if (connection.stage != Stage::serving) return detach(connection, EPROTO, "it asks for leases before it is attached");
  if (settings_.ports != nullptr) settings_.ports->refill(connection.id);
  detach_port_offenders();
}

void ClientRegistry::detach_port_offenders() {
  if (settings_.ports == nullptr) return;
  for (const auto& offence : settings_.ports->take_offences()) {
    auto* const connection = find(offence.client);
    if (connection != nullptr && connection->stage == Stage::serving) detach(*connection, EPROTO, offence.rule);
  }
}

}  // namespace tlsmux::engine::control
