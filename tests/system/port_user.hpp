#pragma once

// An application that uses ports, in a process of its own in the scene: does what the test tells it, one thing at a time.

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>

#include "tests/broker/process.hpp"
#include "tests/ports/sockets.hpp"
#include "tests/system/port_scene.hpp"

namespace tlsmux::test {

// Over a socket between the two processes, in one packet each way.
struct PortOrder {
  enum class Kind : std::uint32_t {
    bind_service,  // tmx_bind_service; the socket is kept
    bind,          // bind(2) to the port; the socket is kept
    find,          // tmx_find_service_port
    listen,        // the others: on the socket that is bound to the port
    release,       // tmx_release_service
    close,
    accept,
    bequeath,  // to a child that goes on with all sockets when this process is dead; `answer.pid`
  };
  Kind kind{};
  std::uint16_t port = 0;
  SocketKind socket{};
  std::array<char, 64> service{};  // empty: none is named
  std::array<char, 96> text{};     // type of port, or label
};

struct PortAnswer {
  int error = 0;  // an errno
  std::uint16_t port = 0;
  std::uint64_t socket_inode = 0;
  pid_t pid = -1;
};

class PortUser {
 public:
  PortUser(const PortScene& scene, const Identity& who);

  [[nodiscard]] pid_t pid() const { return process_->pid(); }
  PortAnswer bind_service(const std::string& service, const std::string& type, const SocketKind& socket = {});
  PortAnswer bind(std::uint16_t port, const SocketKind& socket = {});
  PortAnswer find(const std::string& service, const std::string& label, const SocketKind& socket = {});
  PortAnswer listen(std::uint16_t port) { return order({.kind = PortOrder::Kind::listen, .port = port}); }
  PortAnswer accept(std::uint16_t port) { return order({.kind = PortOrder::Kind::accept, .port = port}); }
  PortAnswer release(const std::string& service, std::uint16_t port);
  PortAnswer close(std::uint16_t port) { return order({.kind = PortOrder::Kind::close, .port = port}); }
  PortAnswer bequeath() { return order({.kind = PortOrder::Kind::bequeath}); }
  // SIGKILL, and waits for the end.
  void kill();

 private:
  PortAnswer order(const PortOrder& order);

  shm::UniqueFd ours_;
  std::unique_ptr<ChildProcess> process_;
};

// A port that must be had.
std::uint16_t bind_surely(PortUser& user, const std::string& service, const std::string& type = "dynamic",
                          const SocketKind& socket = {});

inline constexpr SocketKind kTcp4{};
inline constexpr SocketKind kUdp4{.type = SOCK_DGRAM};
inline constexpr SocketKind kTcp6{.family = AF_INET6};
inline constexpr SocketKind kUdp6{.family = AF_INET6, .type = SOCK_DGRAM};
inline constexpr std::array kSocketKinds{kTcp4, kUdp4, kTcp6, kUdp6};

inline ports::Port port_of(const SocketKind& socket, std::uint16_t number) {
  return {.protocol = socket.type == SOCK_STREAM ? ports::Protocol::tcp : ports::Protocol::udp, .number = number};
}

}  // namespace tlsmux::test
