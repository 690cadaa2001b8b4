#pragma once

// A network of the tests' own: a process that relays TCP connections to a host, each way with its own delay, width and
// faults. It needs nothing of the kernel, and no root. Made in a network namespace, it is in there.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "shm/system/unique_fd.hpp"
#include "tests/broker/process.hpp"

namespace tlsmux::test {

enum class Way : std::uint8_t { to_host, to_engine };

// What becomes of bytes. Never are any lost, doubled or brought out of their order.
struct WayFacts {
  std::uint32_t delay_us = 0;
  std::uint32_t jitter_us = 0;    // 0 to so much more, drawn for what is read at once
  std::uint32_t bytes_per_s = 0;  // 0: as many as come
};

class DelayProxy {
 public:
  // Listens at a port of its own.
  explicit DelayProxy(std::uint16_t host_port, const std::string& host = "127.0.0.1",
                      const std::string& listen = "127.0.0.1");

  [[nodiscard]] std::uint16_t port() const { return port_; }

  // All of these are in force when they return. For what is read from now on:
  void set(Way way, const WayFacts& facts) const;
  // Of each connection that is there only so many more bytes pass; the rest waits in the proxy, and when that is full
  // where it comes from.
  void stall(Way way, std::uint32_t more_bytes) const;
  // The same for those that are still to come, from their first byte on.
  void stall_new(Way way, std::uint32_t bytes) const;
  // Ends both, for all of them.
  void go_on(Way way) const;
  // Ends that way of all connections, as if its sender had: what waits is lost. The other way goes on.
  void end(Way way) const;
  // From now on neither side learns that the other has ended or reset a connection.
  void hide_ends() const;
  // SIGKILL: what waits in it is lost, and both sides learn that their connections have ended.
  void kill();

  struct Counts {
    std::uint32_t connections = 0;      // since the start
    std::uint64_t waiting[2] = {0, 0};  // bytes read that have not passed, by way
  };
  [[nodiscard]] Counts counts() const;

  struct Order;  // to its process

 private:
  Counts send(const Order& order) const;

  std::uint16_t port_ = 0;
  shm::UniqueFd orders_;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace tlsmux::test
