#pragma once

// What the desk for ports wants from outside: time, the kernel's word about sockets and processes, the broker.

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <span>
#include <vector>

#include "engine/broker/broker_client.hpp"
#include "ports/book/port_book.hpp"
#include "ports/book/port_set.hpp"
#include "ports/diagnosis/socket_diagnosis.hpp"
#include "ports/diagnosis/socket_owner.hpp"
#include "ports/guard.hpp"
#include "ports/protocol.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine {

// A process, as the kernel describes it while it lives.
struct PortProcess {
  ports::PortOwner owner;   // client_id is 0
  std::vector<gid_t> gids;  // real and supplementary
  shm::UniqueFd pidfd;
};

struct GuardNews {
  std::vector<ports::GuardEvent> events;
  std::uint64_t lost = 0;  // since the guard was put in place
};

// `group` is the engine's index of a group. Calls may block for milliseconds.
class PortWorld {
 public:
  virtual ~PortWorld() = default;

  virtual std::uint64_t now_ns() = 0;  // CLOCK_MONOTONIC
  // As ports::SocketDiagnosis and ports::find_socket_owners() say it.
  virtual std::expected<std::vector<ports::SocketFact>, shm::SystemError> sockets(ports::Protocol protocol,
                                                                                  const ports::PortSet& ports) = 0;
  virtual std::expected<std::vector<ports::SocketOwner>, shm::SystemError> find_owners(
      std::span<const std::uint64_t> inodes) = 0;

  // ESRCH: there is no such process.
  virtual std::expected<PortProcess, shm::SystemError> identify(std::uint32_t pid) = 0;
  // False if it is surely dead, or its number means another process by now.
  virtual bool is_alive(const ports::PortOwner& owner) = 0;
  // Until its end, which take_ended() tells, or unwatch(). False: it cannot be watched.
  virtual bool watch(std::uint64_t number, const ports::PortOwner& owner, shm::UniqueFd pidfd) = 0;
  virtual void unwatch(std::uint64_t number) = 0;
  virtual std::vector<std::uint64_t> take_ended() = 0;

  virtual std::expected<broker::PortLevels, shm::SystemError> enforcement(std::uint32_t group) = 0;
  virtual std::expected<void, shm::SystemError> admit(std::uint32_t group, std::uint32_t pid) = 0;
  virtual void dismiss(std::uint32_t group, std::uint32_t pid) = 0;
  // Whether the broker has changed it by itself since the last call: put back what others took away, or failed to.
  virtual bool take_enforcement_change() = 0;
  // From now on there may be events of a guard. Called again when the guard may be another one.
  virtual std::expected<void, shm::SystemError> open_guard_events() = 0;
  virtual GuardNews take_guard_news() = 0;
  // Readable when one of the take_...() has something; -1: never.
  [[nodiscard]] virtual int descriptor() const = 0;
};

}  // namespace tlsmux::engine
