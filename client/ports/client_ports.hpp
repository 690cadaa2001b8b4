#pragma once

// The ports of one client: takes what is on lease, asks the engine for the rest, gives back. Any thread; not in a forked
// child.

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "client/ports/held_ports.hpp"
#include "client/ports/port_leases.hpp"
#include "client/ports/port_questions.hpp"
#include "client/ports/port_type.hpp"

namespace tlsmux::client {

class Client;

struct PortClaim {
  ports::Protocol protocol{};
  PortType type;
  std::uint16_t number = 0;  // of PortClaimKind::number
};

struct PortGrant {
  std::uint16_t port = 0;
  bool share_port = false;  // bind with SO_REUSEPORT
  bool is_new = false;      // false: this process had it already, and has not said that it has not got it any more
};

class ClientPorts {
 public:
  // It outlives this.
  explicit ClientPorts(Client& client) : client_(client), questions_(held_) {}

  // At once if a lease can be taken; else waits for the engine, for the client's time-out at the most. Errors, as positive
  // errnos: those of a ClaimPortReply; ECONNREFUSED and ENOTCONN: there is no engine, and none came within kRestartNs
  // after the last one was lost, or what the next one says to this client; ETIMEDOUT.
  std::expected<PortGrant, int> claim(const PortClaim& claim);

  // `in_use`: bind said EADDRINUSE. Does not wait; without an engine the next one is told. False: this process was not
  // given it.
  bool release(ports::Protocol protocol, std::uint16_t port, bool in_use);
  // Says in the client's last error why the kernel did not bind a granted port.
  void note_bind_error(ports::Protocol protocol, const PortGrant& grant, int error);
  [[nodiscard]] std::string last_error();
  // Bind said EADDRINUSE of a port that this process had before. That may be its own socket, or another process's after
  // its own was closed without a word: the engine asks the kernel whose the port is. It stays marked here. Does not wait.
  void report_in_use(ports::Protocol protocol, std::uint16_t port);
  // For a signal handler or a close() anywhere: neither waits nor allocates. If it cannot tell the engine right now, the
  // engine finds out by itself, since the port was bound.
  void release_at_once(ports::Protocol protocol, std::uint16_t port);

  // A static port by its label, or a dynamic one by the label it bears now. ENOENT; ECONNREFUSED, ENOTCONN: no engine now.
  std::expected<std::uint16_t, int> find(ports::Protocol protocol, std::string_view label);
  // Whether the group has a range; false also if there is no engine now.
  bool has_range(ports::Protocol protocol);

  // ---- For the client, which holds its mutex ----
  PortQuestions& questions() { return questions_; }
  void engine_lost(std::int64_t now);

 private:
  struct TicketRemoval;
  struct Watch;

  std::optional<PortGrant> take_lease(ports::Protocol protocol);
  void ask_for_refill(ports::Protocol protocol);
  void send_release(const shm::ReleasePortRequest& request);
  std::expected<shm::ClaimPortReply, int> ask(const shm::ClaimPortRequest& request);
  std::expected<shm::ClaimPortReply, int> wait_for(PortTicket& ticket);
  // With the client's mutex held.
  [[nodiscard]] int absence(std::int64_t now) const;
  [[nodiscard]] Watch what_to_watch() const;

  // Does what is due, and trusts the leases anew. Null: no engine.
  std::shared_ptr<Attachment> look();

  Client& client_;
  HeldPorts held_;
  PortLeases leases_;
  PortQuestions questions_;         // guarded by the client's mutex
  std::int64_t away_since_ns_ = 0;  // the same
};

}  // namespace tlsmux::client
