#pragma once

// A client of the lab's engine, and what the engine's tables say about this process.

#include <tlsmux/ports.h>

#include <cstdint>
#include <optional>
#include <string>

#include "ports/protocol.hpp"
#include "shm/group_part.hpp"
#include "shm/segment.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::bench {

// One thread; the process that made it.
class PortClient {
 public:
  // Waits for an engine that is starting. Throws std::runtime_error, as all of these do.
  PortClient(const std::string& group, const std::string& control_socket);
  ~PortClient();
  PortClient(const PortClient&) = delete;
  PortClient& operator=(const PortClient&) = delete;

  // Both together, with a dynamic port, which is returned. Takes no longer than the call of the library.
  std::uint16_t bind(const shm::UniqueFd& socket);
  // Nothing: none is free.
  std::optional<std::uint16_t> claim(ports::Protocol protocol);
  // Claims a port and gives it back, if one is free: whoever asks for a port is offered leases, too.
  void ask_for_leases(ports::Protocol protocol);
  // Its socket is closed.
  void release(ports::Protocol protocol, std::uint16_t port);

  // How many ports are on lease to this process. By then the engine knows all that was taken and released before, and
  // has nothing more to do for this process.
  std::uint32_t leases(ports::Protocol protocol);
  // How many nobody has and nobody has on lease.
  std::uint32_t free_ports(ports::Protocol protocol);

 private:
  tmx_client* client_ = nullptr;
  shm::UniqueFd object_;
  shm::Mapping mapping_;
  shm::GroupView view_;
};

// The label of a static port that each group has, of both protocols.
inline constexpr const char* kPortLabel = "question";

}  // namespace tlsmux::bench
