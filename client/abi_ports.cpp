// The C ABI: ports.

#include <cerrno>
#include <expected>
#include <optional>
#include <string_view>

#include "client/c_boundary.hpp"
#include "client/handles.hpp"
#include "client/ports/process_clients.hpp"
#include "client/ports/service_bind.hpp"
#include "tlsmux/ports.h"

namespace {

using namespace tlsmux::client;
namespace ports = tlsmux::ports;

// System calls are most of what a leased port costs: of a socket whose address is given only the protocol is asked for.
// That it is bound already, or of another family, its bind says.
std::expected<InetSocket, int> inspect_for(int socket, const std::optional<InetAddress>& address) {
  if (!address) return inspect(socket);
  const auto protocol = inspect_protocol(socket);
  if (!protocol) return std::unexpected(protocol.error());
  return InetSocket{.family = address->family(), .protocol = *protocol};
}

int bind(Client& client, int socket, sockaddr* local, socklen_t length, const char* port_type) {
  const auto type = port_type != nullptr ? read_port_type(port_type) : std::nullopt;
  if (!type) return -EINVAL;
  const auto address = InetAddress::copy(local, length);
  if (!address && (local != nullptr || length != 0)) return -EINVAL;
  const auto inspected = inspect_for(socket, address);
  if (!inspected) return -inspected.error();
  if (inspected->port != 0) return -EINVAL;
  const auto port = bind_to_service(client.ports(), socket, *inspected,
                                    address ? *address : InetAddress::any(inspected->family), *type);
  if (!port) return port.error() == EAFNOSUPPORT ? -EINVAL : -port.error();
  if (local != nullptr) set_port(local, *port);
  return 0;
}

int release(Client& client, int socket) {
  const auto inspected = inspect(socket);
  if (!inspected) return -inspected.error();
  if (inspected->port == 0) return -EINVAL;
  return client.ports().release(inspected->protocol, inspected->port, false) ? 0 : -ENOENT;
}

int find(Client& client, const char* label, const char* protocol, std::uint16_t* port) {
  const auto wanted = protocol != nullptr ? read_protocol(protocol) : std::nullopt;
  if (label == nullptr || *label == '\0' || !wanted || port == nullptr) return -EINVAL;
  const auto found = client.ports().find(*wanted, label);
  if (!found) return -found.error();
  *port = *found;
  return 0;
}

// The functions of the service set errno.
int with_errno(int result) {
  if (result >= 0) return 0;
  errno = -result;
  return -1;
}

// Where it has to wait, NoCancellation is the callee's: a leased port is not to pay for it.
template <typename Function>
int by_handle(const tmx_client* client, Function function) {
  if (client == nullptr) return -EINVAL;
  if (client->client->in_child()) return -ECHILD;
  return without_exceptions(function);
}

// With the client of this process for the service.
template <typename Function>
int in_service(const char* service, Function function) {
  return with_errno(without_exceptions([&] {
    const auto name = service_or_environment(service);
    if (name.empty()) return -EINVAL;
    const auto client = client_of_process(name);
    return client ? function(*(*client)->client) : -client.error();
  }));
}

}  // namespace

int tmx_client_bind(tmx_client* client, int socket, struct sockaddr* local, socklen_t length, const char* port_type) {
  return by_handle(client, [&] { return bind(*client->client, socket, local, length, port_type); });
}

int tmx_client_release(tmx_client* client, int socket) {
  return by_handle(client, [&] { return release(*client->client, socket); });
}

int tmx_client_find_port(tmx_client* client, const char* label, const char* protocol, uint16_t* port) {
  return by_handle(client, [&] { return find(*client->client, label, protocol, port); });
}

int tmx_client_claim_port(tmx_client* client, const char* protocol, const char* port_type, uint16_t* port) {
  if (protocol == nullptr || port_type == nullptr || port == nullptr) return -EINVAL;
  const auto wanted = read_protocol(protocol);
  const auto type = read_port_type(port_type);
  if (!wanted || !type) return -EINVAL;
  return by_handle(client, [&] {
    const auto grant = client->client->ports().claim({.protocol = *wanted, .type = *type});
    if (!grant) return -grant.error();
    *port = grant->port;
    return 0;
  });
}

int tmx_client_release_port(tmx_client* client, const char* protocol, uint16_t port, int in_use) {
  const auto wanted = protocol != nullptr ? read_protocol(protocol) : std::nullopt;
  if (!wanted || port == 0) return -EINVAL;
  return by_handle(client, [&] { return client->client->ports().release(*wanted, port, in_use != 0) ? 0 : -ENOENT; });
}

int tmx_bind_service(int socket, struct sockaddr* local, socklen_t length, const char* service, const char* port_type) {
  return in_service(service, [&](Client& client) { return bind(client, socket, local, length, port_type); });
}

int tmx_release_service(int socket, const char* service) {
  return with_errno(without_exceptions([&] {
    const auto name = service_or_environment(service);
    if (name.empty()) return -EINVAL;
    const auto inspected = inspect(socket);
    if (!inspected) return -inspected.error();
    auto* const client = present_client_of_process(name);
    return client != nullptr ? release(*client->client, socket) : -ENOENT;
  }));
}

int tmx_find_service_port(const char* service, const char* label, const char* protocol, uint16_t* port) {
  return in_service(service, [&](Client& client) { return find(client, label, protocol, port); });
}
