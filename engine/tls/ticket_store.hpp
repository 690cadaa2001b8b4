#pragma once

// The sessions of one client that can be resumed, by server name. Pure: the time comes in, in seconds since 1970.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/tls/handles.hpp"
#include "engine/tls/tls_session.hpp"

namespace tlsmux::engine::tls {

struct Ticket {
  std::shared_ptr<const SavedSession> session;
  bool single_use = true;  // TLS 1.3 (RFC 8446 appendix C.4); a TLS 1.2 ticket serves until the next one comes
  std::int64_t end_s = 0;  // not offered from this second on
  std::shared_ptr<const PeerCertificates> certificates{};  // the host's; the saved session has its first only
};

// Any thread. A name's tickets are bounded; the names are those of the config, so they need no bound.
//
// keep() is called on data loops and waits for nobody: in the rare case that another thread is in here at that very
// moment, the ticket is dropped and the next reconnect makes a full handshake.
class TicketStore {
 public:
  static constexpr std::size_t kTicketsPerNameMax = 8;

  void keep(const std::string& server_name, Ticket ticket);
  // The newest that has not ended; nullopt if there is none.
  std::optional<Ticket> take(const std::string& server_name, std::int64_t now_s);
  // After a handshake that failed with a ticket: the next one does not try again with another.
  void forget(const std::string& server_name);

 private:
  std::mutex mutex_;
  std::map<std::string, std::vector<Ticket>> tickets_;  // oldest first
};

}  // namespace tlsmux::engine::tls
