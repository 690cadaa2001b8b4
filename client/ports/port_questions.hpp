#pragma once

// Claims and releases as the control socket sees them. One claim is on the way at a time, since answers bear no number;
// releases are not answered, and wait here while there is no engine. What an engine has not read when it dies is lost, and
// the next one would take such a port for claimed; so it is told again. Not thread-safe: guarded by the client's mutex.

#include <cstdint>
#include <deque>
#include <expected>
#include <optional>
#include <vector>

#include "shm/system/seqpacket.hpp"

namespace tlsmux::client {

class HeldPorts;

// One claim that waits for its answer, over all engines. It belongs to the thread that waits.
struct PortTicket {
  shm::ClaimPortRequest request;
  int nudge = -1;  // eventfd of the owner: written when there is something to look at
  bool is_settled = false;
  std::optional<shm::SystemError> refusal;  // nothing: granted
  shm::ClaimPortReply grant;
};

class PortQuestions {
 public:
  // It outlives this.
  explicit PortQuestions(const HeldPorts& held) : held_(held) {}

  // The ticket stays where it is until `remove`.
  void add(PortTicket& ticket) { tickets_.push_back(&ticket); }
  // What the engine grants to a ticket that is gone is given back.
  void remove(const PortTicket& ticket);
  void release(const shm::ReleasePortRequest& request) { releases_.push_back(request); }

  // The engine is lost: all is wanted anew, and the last releases are told again, but for ports that are held again.
  void forget_engine();

  // A claim is on the way.
  [[nodiscard]] bool is_asking() const { return asked_.has_value(); }
  // The engine's answer to it. An error: it is none.
  std::expected<void, shm::SystemError> take(const shm::Packet& packet);
  // Sends what waits; claims only if `may_ask`.
  void pump(int control, bool may_ask);
  // The socket had no room: pump again when it has.
  [[nodiscard]] bool is_stuck() const { return is_stuck_; }
  [[nodiscard]] bool has_releases() const { return !releases_.empty(); }

 private:
  const HeldPorts& held_;
  std::deque<PortTicket*> tickets_;             // not settled yet, the oldest first
  std::optional<shm::ClaimPortRequest> asked_;  // by the first ticket, unless that is gone
  bool is_abandoned_ = false;                   // it is gone
  std::vector<shm::ReleasePortRequest> releases_;
  std::deque<shm::ReleasePortRequest> sent_;  // those that the engine may not have read
  bool is_stuck_ = false;
};

}  // namespace tlsmux::client
