#pragma once

// What the engine itself says to one upstream's host, compiled once from the settings: sign-on, sign-off, heartbeat,
// and answers that need no application. No system call, no clock.

#include <cstdint>
#include <optional>
#include <vector>

#include "config/config.hpp"
#include "engine/message/iso8583/auto_reply.hpp"
#include "engine/message/iso8583/message_template.hpp"

namespace tlsmux::engine::mux {

class EngineMessages {
 public:
  // Requires settings that have passed config_check.
  explicit EngineMessages(const config::UpstreamSettings& settings);

  using Templates = std::vector<message::iso8583::MessageTemplate>;
  [[nodiscard]] const Templates& sign_on() const { return sign_on_; }
  [[nodiscard]] const Templates& sign_off() const { return sign_off_; }
  // Null where the heartbeat is a keep-alive, or there is none.
  [[nodiscard]] const message::iso8583::MessageTemplate* heartbeat() const {
    return heartbeat_ ? &*heartbeat_ : nullptr;
  }
  [[nodiscard]] const std::vector<message::iso8583::AutoReply>& auto_replies() const { return auto_replies_; }

  // Of {counter}.
  std::uint64_t next_counter() { return ++counter_; }

 private:
  Templates sign_on_;
  Templates sign_off_;
  std::optional<message::iso8583::MessageTemplate> heartbeat_;
  std::vector<message::iso8583::AutoReply> auto_replies_;
  std::uint64_t counter_ = 0;
};

}  // namespace tlsmux::engine::mux
