#include "tests/simulation/host.hpp"

#include <algorithm>
#include <utility>

#include "config/leases.hpp"
#include "tests/simulation/leased_host.hpp"
#include "tests/simulation/message.hpp"

namespace tlsmux::simulation {

namespace {

Manner some_manner(Context& context) {
  if (context.strikes(Fault::handshake_hangs)) return Manner::hangs;
  return context.strikes(Fault::handshake_refused) ? Manner::refuses : Manner::good;
}

}  // namespace

HostSide::HostSide(Context& context, std::uint32_t upstream)
    : manner_(some_manner(context)), tls_(make_host_tls(context, upstream, manner_)) {}

std::unique_ptr<HostSide> make_host(Context& context, std::uint32_t upstream, std::uint64_t connection) {
  if (!config::leases_sessions(context.present(upstream))) return std::make_unique<Host>(context, upstream, connection);
  return std::make_unique<LeasedHost>(context, upstream, connection);
}

Host::Host(Context& context, std::uint32_t upstream, std::uint64_t connection)
    : HostSide(context, upstream),
      context_(context),
      upstream_(upstream),
      connection_(connection),
      key_offset_(context.upstream(upstream).correlation.offset),
      in_order_(context.in_order(upstream)),
      framing_(context.present(upstream).framing),
      cutter_(framing_) {}

void Host::receive(std::span<const std::byte> bytes) {
  if (ended_ && !half_open_) return;
  std::vector<std::byte> plaintext;
  const bool was_shaking_hands = tls().state() == HostTls::State::handshake;
  const auto state = tls().receive(bytes, plaintext, output_);
  if (was_shaking_hands && state != HostTls::State::handshake && manner() != Manner::good) mute_ = true;
  const auto cut = cutter_.feed(plaintext, [this](const engine::message::Frame& frame) { hear(frame.message); });
  if (!cut) throw Violation("a host received what is no frame");
  if (state == HostTls::State::closed_by_client || state == HostTls::State::failed) end();
}

void Host::hear(std::span<const std::byte> message) {
  const auto number = number_in(message, key_offset_);
  const bool is_known =
      number && context_.ledger.knows(*number);  // else a distrusted client's, or the wire log objects
  if (is_known) {
    context_.trace("host hears request " + std::to_string(*number) + " on connection " + std::to_string(connection_));
    context_.ledger.heard(*number, message);
    if (context_.ledger.is_reply(*number)) return;
  }
  if (context_.strikes(Fault::silent)) {
    // Where order tells, a host that leaves one answer out can give none behind it.
    mute_ = mute_ || in_order_;
    return;
  }
  if (mute_) return;
  const std::uint64_t shortest = key_offset_ + kAnswerBytesMin;
  const std::uint64_t longest = context_.upstream(upstream_).framing.message_bytes_max;
  const auto length =
      context_.random.chance(100) ? longest : context_.random.between(shortest, std::min(longest, shortest + 100));
  answers_.push_back(is_known ? make_answer(message, key_offset_, length) : make_unsolicited(0, key_offset_));
}

bool Host::act() {
  if (ended_ || tls().state() != HostTls::State::open) return false;
  if (misbehave()) return true;
  if (context_.faults.none()) {
    // Somebody has looked after it: what is broken begins anew.
    if (mute_ || is_spoilt()) end();
    reading_ = true;
  }
  if (!answers_.empty()) answer_one();
  if (plaintext_.empty()) return false;
  // Records need not be messages: some hold many, some a part of one.
  const bool may_cut = context_.strikes(Fault::partial_io);
  const auto count = may_cut ? context_.random.piece(plaintext_.size()) : plaintext_.size();
  tls().seal(std::span(plaintext_).first(count), output_);
  plaintext_.erase(plaintext_.begin(), plaintext_.begin() + static_cast<std::ptrdiff_t>(count));
  return true;
}

bool Host::misbehave() {
  auto& random = context_.random;
  if (tls().act(output_)) return true;
  if (context_.strikes(Fault::unsolicited)) {
    context_.ledger.lied(upstream_, connection_);
    const auto message = make_unsolicited(random.next(), key_offset_);
    context_.ledger.host_said(connection_, message);
    say(message);
    return true;
  }
  if (plaintext_.empty() && context_.strikes(Fault::garbage)) {  // not within a message, which then would be another
    std::vector<std::byte> garbage(random.between(1, 40));
    for (auto& byte : garbage) byte = std::byte(random.next());
    // As plaintext it may well look like a message or two; as a record it is none. Either way the stream is spoilt.
    context_.ledger.lied(upstream_, connection_);
    mute_ = true;
    answers_.clear();
    if (random.below(2) == 0) {
      tls().babble(garbage, output_);
    } else {
      tls().seal(garbage, output_);
    }
    return true;
  }
  if (context_.strikes(Fault::close)) {
    if (random.below(2) == 0) tls().close_notify(output_);
    end();
    return true;
  }
  if (reading_ && context_.strikes(Fault::stops_reading)) {
    reading_ = false;
    return true;
  }
  return false;
}

void Host::answer_one() {
  auto& random = context_.random;
  const bool out_of_order = !in_order_ && context_.strikes(Fault::shuffled);
  const auto place = answers_.begin() + static_cast<std::ptrdiff_t>(out_of_order ? random.below(answers_.size()) : 0);
  const auto answer = std::exchange(*place, {});
  answers_.erase(place);
  say(answer);
  if (!context_.strikes(Fault::duplicate)) return;
  context_.ledger.lied(upstream_, connection_);
  say(answer);
}

void Host::say(std::span<const std::byte> message) {
  const auto start = plaintext_.size();
  plaintext_.resize(start + framing_.header_bytes());
  framing_.write_header(std::span(plaintext_).subspan(start), message.size());
  plaintext_.insert(plaintext_.end(), message.begin(), message.end());
}

void Host::end() {
  context_.trace("host ends connection " + std::to_string(connection_));
  tls().take_leave(output_);
  ended_ = true;
  half_open_ = context_.random.below(2) == 0;
}

}  // namespace tlsmux::simulation
