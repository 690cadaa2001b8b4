#include "client/ports/service_bind.hpp"

#include <cerrno>
#include <utility>

namespace tlsmux::client {
namespace {

constexpr int kTriesMax = 10;

bool has_option(int socket, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  return ::getsockopt(socket, SOL_SOCKET, name, &value, &length) == 0 && value != 0;
}

void set_option(int socket, int name, bool on) {
  const int value = on ? 1 : 0;
  ::setsockopt(socket, SOL_SOCKET, name, &value, sizeof value);
}

// Binds, and gives the port back if that fails: the errno, or 0. What this process had before, it keeps.
int bind_granted(ClientPorts& ports, int socket, ports::Protocol protocol, const PortGrant& grant,
                 InetAddress& address) {
  address.set_port(grant.port);
  const bool sets_share = grant.share_port && !has_option(socket, SO_REUSEPORT);
  if (sets_share) set_option(socket, SO_REUSEPORT, true);
  if (::bind(socket, address.data(), address.length()) == 0) return 0;
  const int error = errno;
  if (sets_share) set_option(socket, SO_REUSEPORT, false);
  ports.note_bind_error(protocol, grant, error);
  if (grant.is_new) {
    ports.release(protocol, grant.port, error == EADDRINUSE);
  } else if (error == EADDRINUSE) {
    ports.report_in_use(protocol, grant.port);
  }
  return error;
}

}  // namespace

std::expected<std::uint16_t, int> bind_to_service(ClientPorts& ports, int socket, const InetSocket& inspected,
                                                  InetAddress address, const PortType& type) {
  const PortClaim claim{.protocol = inspected.protocol, .type = type};
  const bool may_try_next = type.kind == shm::PortClaimKind::dynamic;
  std::uint16_t in_use_before = 0;
  for (int tries = 1;; ++tries) {
    const auto grant = ports.claim(claim);
    if (!grant) return std::unexpected(grant.error());
    // Not before: without a port the socket is as it came.
    if (tries == 1 && inspected.protocol == ports::Protocol::tcp) set_option(socket, SO_REUSEADDR, true);
    const int error = bind_granted(ports, socket, inspected.protocol, *grant, address);
    if (error == 0) return grant->port;
    // The engine has looked, and given its own port of that label again: it is in use by itself.
    const bool is_own = !grant->is_new && grant->port == std::exchange(in_use_before, grant->port);
    if (error != EADDRINUSE || is_own || !may_try_next || tries == kTriesMax) return std::unexpected(error);
  }
}

std::expected<std::uint16_t, int> bind_to_number(ClientPorts& ports, int socket, const InetSocket& inspected,
                                                 const InetAddress& address) {
  const auto grant = ports.claim(
      {.protocol = inspected.protocol, .type = {.kind = shm::PortClaimKind::number}, .number = address.port()});
  if (!grant) return std::unexpected(grant.error());
  auto copy = address;
  const int error = bind_granted(ports, socket, inspected.protocol, *grant, copy);
  if (error != 0) return std::unexpected(error);
  return grant->port;
}

}  // namespace tlsmux::client
