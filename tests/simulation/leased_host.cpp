#include "tests/simulation/leased_host.hpp"

#include <algorithm>
#include <utility>

#include "tests/simulation/http_text.hpp"
#include "tests/simulation/message.hpp"

namespace tlsmux::simulation {

using config::FramingKind;

namespace {

constexpr std::byte kEchoMask{0x5a};

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

LeasedHost::LeasedHost(Context& context, std::uint32_t upstream, std::uint64_t connection)
    : HostSide(context, upstream),
      context_(context),
      upstream_(upstream),
      connection_(connection),
      framing_(context.present(upstream).framing) {
  if (config::cuts_messages(context.upstream(upstream).framing.kind)) {
    cutter_ = std::make_unique<engine::message::FrameCutter>(framing_);
  }
}

void LeasedHost::receive(std::span<const std::byte> bytes) {
  if (is_ended_) return;
  std::vector<std::byte> plaintext;
  const bool was_shaking_hands = tls().state() == HostTls::State::handshake;
  const auto state = tls().receive(bytes, plaintext, output_);
  if (was_shaking_hands && state != HostTls::State::handshake) {
    is_mute_ = manner() != Manner::good;
    const bool may_greet = context_.upstream(upstream_).framing.kind == FramingKind::none;
    if (may_greet && !is_mute_ && context_.random.below(4) == 0) {
      answers_.push_back({.bytes = bytes_of("hello"), .is_answer = false});
    }
  }
  if (!plaintext.empty()) hear(plaintext);
  // What it owes it still says, unless it takes that for an abort.
  if (state == HostTls::State::closed_by_client && !std::exchange(is_half_closed_, true)) {
    if (!context_.faults.none() && context_.random.below(4) == 0) end();
  }
  if (state == HostTls::State::failed) end();
}

void LeasedHost::hear(std::span<const std::byte> plaintext) {
  context_.trace("host hears " + std::to_string(plaintext.size()) + " bytes on connection " +
                 std::to_string(connection_));
  switch (context_.upstream(upstream_).framing.kind) {
    case FramingKind::http1: return hear_http(plaintext);
    case FramingKind::none: return hear_bytes(plaintext);
    default: return hear_frames(plaintext);
  }
}

// Where sessions are used again whatever happened on them, a message may end in the next stream's bytes.
void LeasedHost::misunderstand(const char* what) {
  if (!context_.leases.is_muddy(connection_)) throw Violation(std::string("a host received what is no ") + what);
  end();
}

void LeasedHost::hear_frames(std::span<const std::byte> plaintext) {
  const auto cut = cutter_->feed(plaintext, [this](const engine::message::Frame& frame) {
    if (context_.strikes(Fault::silent)) is_mute_ = true;  // none behind it either
    if (is_mute_) return;
    const std::uint64_t longest = context_.upstream(upstream_).framing.message_bytes_max;
    const auto length = context_.random.between(kAnswerBytesMin, std::min<std::uint64_t>(longest, 400));
    const bool is_request = frame.message.size() >= kRequestBytesMin;
    const auto answer = is_request ? make_answer(frame.message, 0, length) : make_unsolicited(0, 0);
    std::vector<std::byte> framed(framing_.header_bytes());
    framing_.write_header(framed, answer.size());
    framed.insert(framed.end(), answer.begin(), answer.end());
    answers_.push_back({.bytes = std::move(framed)});
  });
  if (!cut) misunderstand("frame");
}

void LeasedHost::hear_http(std::span<const std::byte> plaintext) {
  http_.append(reinterpret_cast<const char*>(plaintext.data()), plaintext.size());
  while (const auto request = read_http_request(http_)) {
    const bool is_complete = request->bytes > 0;
    if (!has_answered_early_ && (is_complete || (!request->closes && context_.random.below(8) == 0))) {
      if (context_.strikes(Fault::silent)) is_mute_ = true;
      const auto response = make_http_response(context_.random, *request, !context_.faults.none());
      if (!is_mute_) answers_.push_back({.bytes = bytes_of(response.text), .closes = response.closes});
      has_answered_early_ = true;
    }
    if (!is_complete) break;
    has_answered_early_ = false;
    http_.erase(0, request->bytes);
  }
  if (is_no_http_request(http_)) misunderstand("request");
}

void LeasedHost::hear_bytes(std::span<const std::byte> plaintext) {
  if (is_mute_) return;
  std::vector<std::byte> echo(plaintext.begin(), plaintext.end());
  for (auto& byte : echo) byte ^= kEchoMask;
  answers_.push_back({.bytes = std::move(echo)});
}

bool LeasedHost::act() {
  const bool is_open = tls().state() == HostTls::State::open || is_half_closed_;
  if (is_ended_ || !is_open) return false;
  if (misbehave()) return true;
  if (context_.faults.none()) {
    // Somebody has looked after it: what is broken begins anew.
    if (is_mute_ || is_spoilt()) end();
    is_reading_ = true;
  }
  if (is_ended_) return true;
  if (say_some()) return true;
  if (!is_half_closed_) return false;
  tls().close_notify(output_);
  end();
  return true;
}

// A part of what it owes, in one record.
bool LeasedHost::say_some() {
  if (answers_.empty() || output_.size() > kOutputBytesMax) return false;
  auto& answer = answers_.front();
  const bool may_cut = context_.strikes(Fault::partial_io);
  const auto count = may_cut ? context_.random.piece(answer.bytes.size()) : answer.bytes.size();
  const auto piece = std::span(answer.bytes).first(count);
  const bool is_whole = count == answer.bytes.size();
  tls().seal(piece, output_);
  if (answer.closes && is_whole) context_.leases.must_close(connection_);
  context_.leases.host_said(connection_, piece, is_whole && answer.is_answer);
  answer.bytes.erase(answer.bytes.begin(), answer.bytes.begin() + static_cast<std::ptrdiff_t>(count));
  if (!is_whole) return true;
  const bool closes = answer.closes;
  answers_.pop_front();
  if (closes) {
    if (context_.random.below(2) == 0) tls().close_notify(output_);
    end();
  }
  return true;
}

bool LeasedHost::misbehave() {
  auto& random = context_.random;
  if (tls().act(output_)) return true;
  if (!answers_.empty() && context_.strikes(Fault::duplicate)) {
    context_.leases.lied(connection_);
    answers_.push_back(answers_.front());
    return true;
  }
  if (context_.strikes(Fault::unsolicited) || context_.strikes(Fault::garbage)) return lie();
  if (context_.strikes(Fault::close)) {
    if (random.below(2) == 0) tls().close_notify(output_);
    end();
    return true;
  }
  if (is_reading_ && context_.strikes(Fault::stops_reading)) {
    is_reading_ = false;
    return true;
  }
  return false;
}

// It speaks unasked: in its own language, in none, or not even in records.
bool LeasedHost::lie() {
  auto& random = context_.random;
  context_.leases.lied(connection_);
  std::vector<std::byte> words(random.between(1, 40));
  for (auto& byte : words) byte = std::byte(random.next());
  if (random.below(4) == 0) {
    is_mute_ = true;
    answers_.clear();
    tls().babble(words, output_);
    return true;
  }
  tls().seal(words, output_);
  context_.leases.host_said(connection_, words, false);
  return true;
}

void LeasedHost::end() {
  context_.trace("host ends connection " + std::to_string(connection_));
  tls().take_leave(output_);
  is_ended_ = true;
}

}  // namespace tlsmux::simulation
