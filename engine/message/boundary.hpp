#pragma once

// Whether a session that one process has used may be another's: both directions must stand between two messages, with
// nothing owed. No system call, no clock.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "config/config.hpp"
#include "engine/message/framing.hpp"

namespace tlsmux::engine::message {

// Of one connection, from its beginning. One thread. Keeps no body; of messages no more than the largest frame, or
// kHttpHeadBytesMax, in each direction.
class Boundary {
 public:
  virtual ~Boundary() = default;
  // What goes to the host and what comes from it, in pieces of any size, in the order in which they pass.
  virtual void sent(std::span<const std::byte> bytes) = 0;
  virtual void received(std::span<const std::byte> bytes) = 0;
  // True when the next message may be anybody's. False for good once either direction could not be understood, has
  // said that the connection ends, or goes on in another protocol.
  [[nodiscard]] virtual bool is_clean() const = 0;
  // True when what was sent has not had all its answers yet, as far as that can be known: where it cannot, anything
  // that was sent is owed an answer.
  [[nodiscard]] virtual bool is_owed() const = 0;
  // The same if nothing more will be sent: half a message is not answered.
  [[nodiscard]] virtual bool is_owed_at_end() const = 0;
  // True when what was sent last is the beginning of a message, and its rest is still to come. False where either direction
  // could not be understood.
  [[nodiscard]] virtual bool is_within_question() const = 0;
  // False once either direction could not be understood, or goes on in another protocol.
  [[nodiscard]] virtual bool is_understood() const = 0;
  // True once no message can follow, whoever sends it: one of either direction has said that it is the last (HTTP's
  // Connection: close), or another protocol may be spoken.
  [[nodiscard]] virtual bool is_last() const { return false; }
  // How long the host says that it keeps an idle connection (HTTP's Keep-Alive: timeout); nothing: it does not say.
  [[nodiscard]] virtual std::optional<std::uint32_t> idle_max_s() const { return std::nullopt; }
};

// For one connection. `framing` outlives it. Null: the protocol has no boundaries that could be known (framing `none`).
std::unique_ptr<Boundary> make_boundary(const config::FramingSettings& settings, const Framing& framing);

}  // namespace tlsmux::engine::message
