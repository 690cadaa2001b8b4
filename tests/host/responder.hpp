#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "tests/host/envelope.hpp"
#include "tests/host/iso8583_ascii.hpp"
#include "tests/host/network_management.hpp"
#include "tests/host/options.hpp"
#include "tests/host/own_messages.hpp"
#include "tests/host/random.hpp"
#include "tests/host/shared_state.hpp"

namespace tlsmux::host {

// What is to be done about one message.
struct Reaction {
  std::string at_once;       // framed bytes to send before anything else: unsolicited message, oversize header
  std::string answer;        // framed; to be sent `copies` times
  unsigned copies = 0;       // 0: no answer
  std::uint64_t due_ns = 0;  // 0: now
  bool close = false;        // close the connection without answering this message
};

// Decides what one connection's messages are answered with, and when. The same seed, connection number and
// messages give the same decisions.
class Responder {
 public:
  // `behaviour`, `framing` and `shared` must outlive it.
  Responder(const Behaviour& behaviour, const Framing& framing, std::uint64_t connection, SharedState& shared);

  // Takes the next message, counts it, and returns its key in hexadecimal, empty when it has none: fields 11
  // and 41 joined, or the first 16 bytes where messages are not ISO 8583. The key is valid until the next
  // call.
  std::string_view receive(std::string_view body);

  // The message just received as an application sent it, without its TPDU.
  [[nodiscard]] std::string_view application_bytes() const { return application_bytes_; }
  // Of messages received by receive(), from 1.
  [[nodiscard]] std::uint64_t sequence() const { return sequence_; }
  [[nodiscard]] const NetworkManagement& network_management() const { return network_management_; }

  // Decides about the message just received, whose bytes must still be there. Replaces all of `reaction`.
  void react(std::uint64_t now_ns, Reaction& reaction);

  // A request of the host's own, framed.
  [[nodiscard]] std::string own_message();

 private:
  // Drawn for every message alike, so that one option does not change what another does.
  struct Fate {
    bool silent, refused, duplicated, late;
    std::uint64_t jitter_us, approval;
  };
  Fate draw();
  void add_extras(Reaction& reaction);
  void answer_echo(Reaction& reaction);
  bool answer_iso8583(Fate& fate, std::uint64_t now_ns, Reaction& reaction);
  void build_answer(const Message& request, std::string_view response_code, std::uint64_t approval);
  void schedule(const Fate& fate, std::uint64_t now_ns, Reaction& reaction);
  // The message of built_ in the envelope of an answer to the one just received.
  void append_answer(std::string& out);
  void append_split(std::string_view body, std::string& out) const;

  const Behaviour& behaviour_;
  const Framing& framing_;
  Totals& totals_;
  Random random_;
  NetworkManagement network_management_;
  OwnMessages own_messages_;
  std::uint64_t sequence_ = 0;
  std::uint64_t last_due_ns_ = 0;
  Envelope envelope_;
  std::string_view application_bytes_;
  std::expected<Message, FieldError> message_ = std::unexpected(FieldError{});
  std::string key_;
  std::string built_;
};

}  // namespace tlsmux::host
