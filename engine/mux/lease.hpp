#pragma once

// What is known of a session whose upstream leases its sessions to streams. See leases.hpp.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/message/boundary.hpp"
#include "engine/mux/ids.hpp"

namespace tlsmux::engine::mux {

struct Lease {
  static constexpr std::uint64_t kNoDoubt = ~0ULL;

  std::optional<StreamId> holder;  // the stream that has the session; none: it lies in the pool
  // Of the connection, from when it is ready. Null: where messages begin and end cannot be known.
  std::unique_ptr<message::Boundary> boundary;
  std::vector<std::byte> greeting;  // what the host has said by itself on a connection that nobody has had yet

  // Of the holder; as at the beginning when another gets the session.
  std::uint64_t doubt_position = kNoDoubt;  // on the wire: from here on there may be bytes that have no answer yet
  bool is_touched = false;                  // a byte has gone either way
  bool has_last_word = false;               // and the last one went to the host
  bool wants_room = false;
  bool is_held = false;       // the network receives no more for the moment
  bool has_finished = false;  // the holder writes no more

  // Of the connection.
  bool owes_close_notify = false;  // to be said as soon as there is room
  bool said_close_notify = false;
  bool host_has_finished = false;
  bool is_intruded = false;  // the host has spoken while nobody had asked
  bool is_spent = false;     // nobody after the holder gets it
};

}  // namespace tlsmux::engine::mux
