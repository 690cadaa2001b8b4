#pragma once

// What the engine itself says on a session: sign-on before it is ready, heartbeats while it is idle, sign-off before it
// closes, answers to the host's requests that need no application. All but flush() only write down what is to be said,
// so that they may be called while a message of the host is being read; what comes of it is the caller's to act on.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "engine/message/frame_cutter.hpp"
#include "engine/mux/state.hpp"

namespace tlsmux::engine::mux {

enum class Progress : std::uint8_t {
  waiting,  // for the host, or for another session that signs on
  done,
};

// The session cannot go on.
struct ConversationError {
  shm::Reason reason = shm::Reason::none;
  std::string words;
};

using Pursued = std::expected<Progress, ConversationError>;

class Conversation {
 public:
  explicit Conversation(MuxState& state);

  // The session has shaken hands. `done`: it may be used. With scope `upstream` the first session signs on and the
  // others wait for it.
  Pursued sign_on(Session& session);
  // Nothing is in flight any more. `done`: it may be closed. With scope `upstream` only the last session signs off.
  Pursued sign_off(Session& session);

  // A message of the host. Nothing: it answers no exchange of ours. `done`: the exchange's purpose is fulfilled.
  std::optional<Pursued> hear(Session& session, std::span<const std::byte> message);
  // Keep-alives have come; they answer a heartbeat that was one.
  void hear_keep_alives(Session& session);

  // When tend() is next needed; 0: not by itself.
  [[nodiscard]] std::uint64_t due_ns(const Session& session) const;
  // An answer is overdue, or a heartbeat due.
  Pursued tend(Session& session);

  // True when one of the configured replies fits and will be sent.
  bool auto_reply(Session& session, const message::Frame& request);

  // True while a message of the engine's with that key is in flight on any session: a client's would be a duplicate.
  [[nodiscard]] static bool holds_key(const Upstream& upstream, const message::CorrelationKey& key);

  // Seals what was said on this session, as far as there is room.
  std::expected<void, ConversationError> seal(Session& session);

  // The session is over.
  void end(Session& session);

 private:
  using Template = message::iso8583::MessageTemplate;

  Pursued say_next(Session& session, ExchangePurpose purpose, std::size_t step);
  Pursued begin(Session& session, const Template& text, Exchange exchange);
  Pursued go_on(Session& session);
  // False: there is no trace number just now.
  std::expected<bool, ConversationError> say(Session& session, const Template& text, Exchange& exchange);
  [[nodiscard]] bool write(Session& session, std::span<const std::byte> message,
                           std::span<const std::byte> received_header = {});
  Pursued heartbeat(Session& session);
  Pursued miss(Session& session);
  Pursued judge(Session& session, std::span<const std::byte> message);

  MuxState* state_;
  std::vector<std::byte> text_;  // a message being built
};

}  // namespace tlsmux::engine::mux
