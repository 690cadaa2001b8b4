#include "tests/host/responder.hpp"

#include <algorithm>
#include <array>

#include "shm/assert.hpp"
#include "tests/host/record.hpp"

namespace tlsmux::host {
namespace {

constexpr std::size_t kPlainKeyBytes = 16;
// What a host sends back as it came; 70 only occurs in network management.
constexpr std::array<unsigned, 13> kEchoedFields = {2, 3, 4, 7, 11, 12, 13, 32, 37, 41, 42, 49, 70};

// The third digit of the message type: 0 request, 1 response, 2 advice, 3 advice response.
bool is_request(std::string_view type) { return type[2] == '0' || type[2] == '2'; }
bool is_response(std::string_view type) { return type[2] == '1' || type[2] == '3'; }

// A repeat, marked by an odd fourth digit, is answered as its original would be.
std::array<char, 4> response_type(std::string_view type) {
  return {type[0], type[1], static_cast<char>(type[2] + 1), static_cast<char>(type[3] & ~1)};
}

bool is_financial(std::string_view type) { return type[1] == '1' || type[1] == '2'; }

std::array<char, 6> approval_code(std::uint64_t number) {
  std::array<char, 6> code;
  for (char& c : code) {
    c = "0123456789ABCDEFGHJKLMNPQRSTUVWX"[number % 32];
    number /= 32;
  }
  return code;
}

std::string_view view(const auto& characters) { return {characters.data(), characters.size()}; }

}  // namespace

Responder::Responder(const Behaviour& behaviour, const Framing& framing, std::uint64_t connection, SharedState& shared)
    : behaviour_(behaviour),
      framing_(framing),
      totals_(shared.totals),
      random_(behaviour.seed + Random(connection).next()),
      network_management_(behaviour, shared),
      own_messages_(behaviour.own_messages.kind, shared) {}

std::string_view Responder::receive(std::string_view body) {
  ++sequence_;
  ++totals_.received;
  key_.clear();
  message_ = std::unexpected(FieldError{});
  const auto envelope = open_envelope(behaviour_.envelope, body);
  if (!envelope) {
    envelope_ = {};
    application_bytes_ = body;
    ++totals_.unparsable;
    count(totals_.unparsable_reasons, envelope.error());
    return key_;
  }
  envelope_ = *envelope;
  application_bytes_ = envelope_.application_bytes();
  if (envelope_.tpdu != behaviour_.envelope.tpdu) ++totals_.tpdu_wrong;
  if (behaviour_.mode != Mode::iso8583) {
    key_ = hex(application_bytes_.substr(0, kPlainKeyBytes));
    return key_;
  }
  message_ = parse(envelope_.message);
  if (message_) {
    count(totals_.messages_by_type, message_->type);
    key_ = hex(message_->field(11));
    key_ += hex(message_->field(41));
  } else {
    ++totals_.unparsable;
    count(totals_.unparsable_reasons, to_string(message_.error()));
  }
  return key_;
}

Responder::Fate Responder::draw() {
  Fate fate;
  fate.silent = random_.percent(behaviour_.silent_percent);
  fate.refused = random_.percent(behaviour_.refuse_percent);
  fate.duplicated = random_.percent(behaviour_.duplicate_percent);
  fate.jitter_us = random_.below(behaviour_.jitter_us + 1);
  fate.approval = random_.next();
  fate.late = random_.percent(behaviour_.late_percent);
  return fate;
}

void Responder::react(std::uint64_t now_ns, Reaction& reaction) {
  reaction = {std::move(reaction.at_once), std::move(reaction.answer)};  // keeps their memory
  reaction.at_once.clear();
  reaction.answer.clear();
  Fate fate = draw();
  if (behaviour_.close_after > 0 && sequence_ >= behaviour_.close_after) {
    reaction.close = true;
    return;
  }
  add_extras(reaction);
  switch (behaviour_.mode) {
    case Mode::sink: return;
    case Mode::echo: answer_echo(reaction); break;
    case Mode::iso8583:
      if (!answer_iso8583(fate, now_ns, reaction)) return;
  }
  if (fate.silent) {
    ++totals_.silenced;
    return;
  }
  schedule(fate, now_ns, reaction);
}

void Responder::add_extras(Reaction& reaction) {
  if (behaviour_.oversize_after > 0 && sequence_ == behaviour_.oversize_after) {
    append_oversize(framing_, reaction.at_once);
    ++totals_.oversize_sent;
  }
  const auto every = behaviour_.own_messages.every_messages;
  if (every > 0 && sequence_ % every == 0) reaction.at_once += own_message();
}

void Responder::answer_echo(Reaction& reaction) {
  append_split(swapped_tpdu(envelope_.tpdu).append(application_bytes_), reaction.answer);
}

// False: there is no answer.
bool Responder::answer_iso8583(Fate& fate, std::uint64_t now_ns, Reaction& reaction) {
  if (!message_) {
    reaction.close = behaviour_.on_unparsable == OnUnparsable::close;
    return false;
  }
  const Message& request = *message_;
  if (is_response(request.type)) own_messages_.take_response(request);
  if (!is_request(request.type)) return false;
  const auto verdict = network_management_.take(request, now_ns);
  reaction.close = verdict.close;
  if (!verdict.response_code) return false;
  if (is_network_management(request.type)) {
    fate.silent = fate.refused = fate.duplicated = fate.late = false;
    build_answer(request, *verdict.response_code, fate.approval);
  } else {
    build_answer(request, fate.refused ? "05" : "00", fate.approval);
  }
  append_answer(reaction.answer);
  return true;
}

void Responder::build_answer(const Message& request, std::string_view response_code, std::uint64_t approval) {
  const auto type = response_type(request.type);
  const auto code = approval_code(approval);
  const auto wanted = [&](unsigned number) { return std::ranges::count(behaviour_.omit_fields, number) == 0; };
  Message response;
  response.type = view(type);
  for (const unsigned number : kEchoedFields) {
    if (request.has(number) && wanted(number)) response.set(number, request.field(number));
  }
  if (wanted(39)) response.set(39, response_code);
  if (is_financial(request.type) && response_code == "00" && wanted(38)) response.set(38, view(code));
  built_.clear();
  const auto result = build(response, built_);
  TMX_ASSERT(result.has_value());  // its fields were parsed or are ours
}

void Responder::schedule(const Fate& fate, std::uint64_t now_ns, Reaction& reaction) {
  ++totals_.answered;
  if (behaviour_.mode == Mode::iso8583 && fate.refused) ++totals_.refused;
  if (fate.duplicated) ++totals_.duplicated;
  reaction.copies = fate.duplicated ? 2 : 1;
  if (fate.late) {
    ++totals_.late;
    reaction.due_ns = now_ns + behaviour_.late_ms * 1'000'000;  // the others do not wait for it
    return;
  }
  if (behaviour_.delay_us == 0 && behaviour_.jitter_us == 0) return;
  reaction.due_ns = now_ns + (behaviour_.delay_us + fate.jitter_us) * 1000;
  if (!behaviour_.out_of_order) reaction.due_ns = std::max(reaction.due_ns, last_due_ns_);
  last_due_ns_ = reaction.due_ns;
}

void Responder::append_answer(std::string& out) {
  const std::string body = swapped_tpdu(envelope_.tpdu) + swapped_base1(envelope_.header) + built_;
  append_split(body, out);
}

void Responder::append_split(std::string_view body, std::string& out) const {
  const std::size_t most = behaviour_.split_bytes;
  while (most > 0 && body.size() > most) {
    append_frame(framing_, body.substr(0, most), out, true);
    body.remove_prefix(most);
  }
  append_frame(framing_, body, out);
}

std::string Responder::own_message() {
  const std::string message = own_messages_.next();
  std::string body = swapped_tpdu(behaviour_.envelope.tpdu);
  if (behaviour_.envelope.base1) body += base1_header(message.size());
  std::string framed;
  append_split(body + message, framed);
  return framed;
}

}  // namespace tlsmux::host
