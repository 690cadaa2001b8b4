#include "bench/ports/port_client.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <tlsmux/tlsmux.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <utility>

#include "bench/ports/port_socket.hpp"
#include "shm/row.hpp"

namespace tlsmux::bench {
namespace {

constexpr std::uint32_t kTimeoutMs = 10'000;
constexpr int kTries = 500;
constexpr int kTryMs = 20;

void check(int result, const char* what) {
  if (result < 0) throw std::runtime_error(std::string(what) + ": " + tmx_error_text(result));
}

tmx_client* attach(const std::string& group, const std::string& control_socket) {
  tmx_attach_options options{};
  options.struct_bytes = sizeof options;
  options.group = group.c_str();
  options.control_socket = control_socket.c_str();
  options.timeout_ms = kTimeoutMs;
  tmx_client* client = nullptr;
  int error = tmx_attach(&options, &client);
  for (int tries = 0; error == -ECONNREFUSED && tries < kTries; ++tries) {
    ::poll(nullptr, 0, kTryMs);  // the engine is starting
    error = tmx_attach(&options, &client);
  }
  check(error, "attaching");
  return client;
}

template <typename Value>
Value checked(std::expected<Value, shm::SystemError> value) {
  if (!value) throw std::runtime_error(value.error().message);
  return std::move(*value);
}

shm::Mapping map(const shm::UniqueFd& object) {
  struct stat status{};
  if (::fstat(object.get(), &status) != 0) throw std::runtime_error(shm::last_error("looking at a group").message);
  return checked(shm::Mapping::map(object.get(), static_cast<std::uint64_t>(status.st_size), shm::Access::read_only));
}

}  // namespace

PortClient::PortClient(const std::string& group, const std::string& control_socket)
    : client_(attach(group, control_socket)),
      object_(checked(shm::open_group_object(group))),
      mapping_(map(object_)),
      view_(checked(shm::GroupView::open(mapping_.bytes()))) {}

PortClient::~PortClient() { tmx_detach(client_); }

std::uint16_t PortClient::bind(const shm::UniqueFd& socket) {
  auto address = any_address(0);
  check(tmx_client_bind(client_, socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address, "dynamic"),
        "claiming and binding a port");
  return ntohs(address.sin_port);
}

std::optional<std::uint16_t> PortClient::claim(ports::Protocol protocol) {
  std::uint16_t port = 0;
  const int error = tmx_client_claim_port(client_, ports::name(protocol).data(), "dynamic", &port);
  if (error == -EADDRINUSE) return std::nullopt;
  check(error, "claiming a port");
  return port;
}

void PortClient::ask_for_leases(ports::Protocol protocol) {
  if (const auto port = claim(protocol)) release(protocol, *port);
}

void PortClient::release(ports::Protocol protocol, std::uint16_t port) {
  check(tmx_client_release_port(client_, ports::name(protocol).data(), port, 0), "releasing a port");
}

std::uint32_t PortClient::leases(ports::Protocol protocol) {
  // Its answer, whether it is this process's or another's, comes behind all that was said before.
  std::uint16_t port = 0;
  const auto type = std::string("static:") + kPortLabel;
  const int error = tmx_client_claim_port(client_, ports::name(protocol).data(), type.c_str(), &port);
  if (error != -EADDRINUSE) check(error, "claiming a static port");
  std::uint32_t leases = 0;
  const auto pid = static_cast<std::uint32_t>(::getpid());
  for (std::uint32_t i = 0; i < view_.ports().size(); ++i) {
    shm::PortRow row;
    if (!shm::read_row(view_.ports()[i], row)) continue;
    const bool is_it = row.state == shm::PortState::leased && row.pid == pid && row.protocol == ports::bit_of(protocol);
    leases += is_it ? 1 : 0;
  }
  return leases;
}

std::uint32_t PortClient::free_ports(ports::Protocol protocol) {
  shm::PortSummaryRow row;
  if (!shm::read_row(view_.port_summaries()[0], row)) throw std::runtime_error("the engine writes all the time");
  return row.dynamic_free[ports::index_of(protocol)];
}

}  // namespace tlsmux::bench
