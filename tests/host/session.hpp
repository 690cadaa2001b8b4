#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "tests/host/connection.hpp"
#include "tests/host/responder.hpp"

namespace tlsmux::host {

// One accepted TLS connection and what the host knows of it.
struct Session {
  Session(std::uint64_t number_, Connection connection_, Responder responder_)
      : number(number_), connection(std::move(connection_)), responder(std::move(responder_)) {}

  std::uint64_t number;  // from 1, in the order of acceptance
  Connection connection;
  Responder responder;
  std::string parts;                    // of a message that goes on in the next frame
  std::size_t delayed_bytes = 0;        // answers that wait in the timer queue
  std::uint32_t events_registered = 0;  // with epoll
  bool in_handshake = true;
  bool handshake_held = false;  // under --handshake-delay-ms
  bool silent = false;          // is sent nothing more
  bool unheard = false;         // is not read any more
  bool touched = false;         // to be settled in this turn
  bool unread = false;          // may hold decrypted or buffered input that epoll does not know of
  bool paused = false;          // not read while too much waits to be sent
  bool closing = false;         // to be closed once output is sent; input is recorded but not answered
  bool peer_ended = false;      // the peer said close_notify
  bool stream_broken = false;   // frames cannot be told apart any more; input is thrown away
  bool gone = false;            // to be removed
};

}  // namespace tlsmux::host
