#include "tests/host/responder.hpp"

#include <algorithm>
#include <array>
#include <chrono>

#include "shm/assert.hpp"
#include "tests/host/iso8583_request.hpp"
#include "tests/host/record.hpp"

namespace tlsmux::host {
namespace {

constexpr std::uint32_t kTraceNumberMax = 999'999;
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

Responder::Responder(const Behaviour& behaviour, const Framing& framing, std::uint64_t connection, Totals& totals)
    : behaviour_(behaviour), framing_(framing), totals_(totals), random_(behaviour.seed + Random(connection).next()) {}

std::string_view Responder::receive(std::string_view body) {
  ++sequence_;
  ++totals_.received;
  body_ = body;
  if (behaviour_.mode != Mode::iso8583) {
    key_ = hex(body.substr(0, kPlainKeyBytes));
    return key_;
  }
  message_ = parse(body);
  key_.clear();
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
  return fate;
}

void Responder::react(std::uint64_t now_ns, Reaction& reaction) {
  reaction = {std::move(reaction.at_once), std::move(reaction.answer)};  // keeps their memory
  reaction.at_once.clear();
  reaction.answer.clear();
  const Fate fate = draw();
  if (behaviour_.close_after > 0 && sequence_ >= behaviour_.close_after) {
    reaction.close = true;
    return;
  }
  add_extras(reaction);
  switch (behaviour_.mode) {
    case Mode::sink: return;
    case Mode::echo: append_frame(body_, reaction.answer); break;
    case Mode::iso8583: answer_iso8583(fate, reaction); break;
  }
  if (reaction.answer.empty()) return;
  if (fate.silent) {
    ++totals_.silenced;
    return;
  }
  schedule(fate, now_ns, reaction);
}

void Responder::add_extras(Reaction& reaction) {
  if (behaviour_.oversize_after > 0 && sequence_ == behaviour_.oversize_after) {
    append_header(framing_, length_max(framing_), reaction.at_once);
    ++totals_.oversize_sent;
  }
  if (behaviour_.unsolicited_every > 0 && sequence_ % behaviour_.unsolicited_every == 0) {
    append_frame(unsolicited_echo_test(), reaction.at_once);
    ++totals_.unsolicited;
  }
}

void Responder::answer_iso8583(const Fate& fate, Reaction& reaction) {
  if (!message_) {
    reaction.close = behaviour_.on_unparsable == OnUnparsable::close;
    return;
  }
  const Message& request = *message_;
  if (is_response(request.type)) ++totals_.responses;
  if (!is_request(request.type)) return;

  const auto type = response_type(request.type);
  const auto approval = approval_code(fate.approval);
  Message response;
  response.type = view(type);
  for (const unsigned number : kEchoedFields) {
    if (request.has(number)) response.set(number, request.field(number));
  }
  response.set(39, fate.refused ? "05" : "00");
  if (is_financial(request.type) && !fate.refused) response.set(38, view(approval));
  built_.clear();
  const auto result = build(response, built_);
  TMX_ASSERT(result.has_value());  // its fields were parsed or are ours
  append_frame(built_, reaction.answer);
}

void Responder::schedule(const Fate& fate, std::uint64_t now_ns, Reaction& reaction) {
  ++totals_.answered;
  if (behaviour_.mode == Mode::iso8583 && fate.refused) ++totals_.refused;
  if (fate.duplicated) ++totals_.duplicated;
  reaction.copies = fate.duplicated ? 2 : 1;
  if (behaviour_.delay_us == 0 && behaviour_.jitter_us == 0) return;
  reaction.due_ns = now_ns + (behaviour_.delay_us + fate.jitter_us) * 1000;
  if (!behaviour_.out_of_order) reaction.due_ns = std::max(reaction.due_ns, last_due_ns_);
  last_due_ns_ = reaction.due_ns;
}

void Responder::append_frame(std::string_view body, std::string& out) const {
  append_header(framing_, body.size(), out);
  out.append(body);
}

std::string Responder::unsolicited_echo_test() {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const auto trace_number = static_cast<std::uint32_t>(unsolicited_++ % kTraceNumberMax + 1);
  return build_network_management("301", trace_number, now);
}

}  // namespace tlsmux::host
