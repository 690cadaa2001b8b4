#include "engine/mux/conversation.hpp"

#include <algorithm>

namespace tlsmux::engine::mux {
namespace {

using shm::Reason;

// Each time the key of a message of ours is that of a client's in flight, the next trace number is tried.
constexpr int kNumbersTriedMax = 16;
constexpr std::size_t kOwnBytesMax = 256 * 1024;  // said and not sealed yet, of one session
constexpr std::uint64_t kNotSealed = ~0ULL;
constexpr std::uint64_t kRetryNs = 20 * kNanosecondsPerMillisecond;  // the next trace numbers are on their way

std::unexpected<ConversationError> failed(Reason reason, std::string words) {
  return std::unexpected(ConversationError{.reason = reason, .words = std::move(words)});
}

const EngineMessages::Templates& messages_of(const Upstream& upstream, ExchangePurpose purpose) {
  return purpose == ExchangePurpose::sign_on ? upstream.messages.sign_on() : upstream.messages.sign_off();
}

const char* name_of(ExchangePurpose purpose) {
  switch (purpose) {
    case ExchangePurpose::sign_on: return "sign-on";
    case ExchangePurpose::sign_off: return "sign-off";
    case ExchangePurpose::heartbeat: return "heartbeat";
    case ExchangePurpose::none: break;
  }
  return "message";
}

bool is_connected(const Session& session) {
  using enum shm::SessionState;
  return !session.closing && (session.state == ready || session.state == draining || session.state == signing_on);
}

}  // namespace

Conversation::Conversation(MuxState& state) : state_(&state) {}

Pursued Conversation::sign_on(Session& session) {
  auto& upstream = state_->upstream_of(session);
  if (upstream.messages.sign_on().empty()) return Progress::done;
  if (upstream.settings->sign_on.scope == config::SignOnScope::upstream) {
    if (upstream.is_signed_on) return Progress::done;
    const bool another_does = std::ranges::any_of(upstream.sessions, [&](const Session* other) {
      return other != &session && other->exchange.purpose == ExchangePurpose::sign_on;
    });
    if (another_does) return Progress::waiting;
  }
  return say_next(session, ExchangePurpose::sign_on, 0);
}

Pursued Conversation::sign_off(Session& session) {
  auto& upstream = state_->upstream_of(session);
  if (upstream.messages.sign_off().empty()) return Progress::done;
  const bool others_serve = std::ranges::any_of(
      upstream.sessions, [&](const Session* other) { return other != &session && is_connected(*other); });
  if (upstream.settings->sign_on.scope == config::SignOnScope::upstream && others_serve) return Progress::done;
  return say_next(session, ExchangePurpose::sign_off, 0);
}

Pursued Conversation::say_next(Session& session, ExchangePurpose purpose, std::size_t step) {
  auto& upstream = state_->upstream_of(session);
  const auto& messages = messages_of(upstream, purpose);
  if (step == messages.size()) {
    session.exchange = {};
    if (purpose == ExchangePurpose::sign_on) upstream.is_signed_on = true;
    return Progress::done;
  }
  Exchange exchange{.purpose = purpose, .step = step};
  exchange.deadline_ns = state_->now_ns + upstream.settings->timeouts.sign_on_ms * kNanosecondsPerMillisecond;
  return begin(session, messages[step], exchange);
}

Pursued Conversation::begin(Session& session, const Template& text, Exchange exchange) {
  const auto said = say(session, text, exchange);
  if (!said) return std::unexpected(said.error());
  exchange.retry_ns = *said ? 0 : state_->now_ns + kRetryNs;
  session.exchange = exchange;
  return Progress::waiting;
}

std::expected<bool, ConversationError> Conversation::say(Session& session, const Template& text, Exchange& exchange) {
  auto& upstream = state_->upstream_of(session);
  const auto unusable = [&](const char* why) {
    return failed(Reason::sign_on_refused, std::string("the ") + name_of(exchange.purpose) + " message " + why);
  };
  text_.resize(std::max(text_.size(), text.message_bytes()));
  const auto counter = upstream.messages.next_counter();
  std::span<const std::byte> message;
  std::optional<message::CorrelationKey> own_key;
  for (int tried = 0; tried < kNumbersTriedMax; ++tried) {
    const auto trace_number = state_->seams.trace_numbers.take_own(session.upstream);
    if (!trace_number) return false;
    const auto length = text.build({.trace_number = *trace_number,
                                    .counter = counter,
                                    .utc_s = state_->utc_s(),
                                    .local_offset_s = state_->local_offset_s},
                                   text_);
    if (!length) return unusable("cannot be built");
    message = std::span(text_).first(*length);
    const auto key = upstream.correlation.request_key(message);
    if (!key) return unusable("has no correlation key");
    own_key = *key;
    if (upstream.keys.find(*key) == kNone && !holds_key(upstream, *key)) break;
    if (tried + 1 == kNumbersTriedMax) return unusable("has the key of a request in flight");
  }
  exchange.key = own_key;
  exchange.sent = &text;
  exchange.started_ns = state_->now_ns;
  exchange.wire_position = kNotSealed;
  if (!write(session, message)) return unusable("finds no room: the host takes no bytes");
  return true;
}

// False: too much waits to be said already.
bool Conversation::write(Session& session, std::span<const std::byte> message,
                         std::span<const std::byte> received_header) {
  const auto& framing = state_->upstream_of(session).framing;
  if (framing.must_search_messages() && !framing.may_be_sent(message)) return false;
  auto& words = session.own_words;
  const auto begin = words.size();
  const auto trailer = framing.trailer();
  if (begin + framing.overhead_bytes() + message.size() > kOwnBytesMax) return false;
  words.resize(begin + framing.header_bytes());
  framing.write_header(std::span(words).subspan(begin), message.size(), received_header);
  words.insert(words.end(), message.begin(), message.end());
  words.insert(words.end(), trailer.begin(), trailer.end());
  return true;
}

std::expected<void, ConversationError> Conversation::seal(Session& session) {
  auto& words = session.own_words;
  std::span<const std::byte> left(words);
  while (!left.empty()) {
    const auto piece = left.first(std::min(left.size(), session.tls->record_bytes_max()));
    if (piece.size() + session.tls->record_overhead_bytes() > session.wire.room()) break;
    // The latest is what an exchange awaits the answer to.
    if (session.exchange.wire_position == kNotSealed && piece.size() == left.size()) {
      session.exchange.wire_position = session.wire.sealed_position();
    }
    const auto sealed = session.tls->seal(std::span(&piece, 1), session.wire);
    if (!sealed) return failed(sealed.error().reason, sealed.error().words);
    left = left.subspan(piece.size());
  }
  words.erase(words.begin(), words.end() - static_cast<std::ptrdiff_t>(left.size()));
  return {};
}

std::optional<Pursued> Conversation::hear(Session& session, std::span<const std::byte> message) {
  const auto& exchange = session.exchange;
  if (!exchange.key || exchange.wire_position >= session.offered_position) return std::nullopt;
  const auto& correlation = state_->upstream_of(session).correlation;
  if (correlation.role(message) != message::MessageRole::response) return std::nullopt;
  const auto key = correlation.response_key(message);
  if (!key || *key != *exchange.key) return std::nullopt;
  return judge(session, message);
}

Pursued Conversation::judge(Session& session, std::span<const std::byte> message) {
  const auto exchange = std::exchange(session.exchange, {});
  const auto differing = exchange.sent->check_answer(message);
  const bool is_good = differing && !*differing;
  if (exchange.purpose == ExchangePurpose::heartbeat) {
    session.heartbeats_missed = 0;  // whatever it said, the host is there
    return Progress::done;
  }
  if (!is_good && exchange.purpose == ExchangePurpose::sign_on) {
    const auto why = differing ? "field " + std::to_string(**differing) + " of its answer is not as expected"
                               : std::string("its answer cannot be read");
    return failed(Reason::sign_on_refused, "the host refused the sign-on: " + why);
  }
  return say_next(session, exchange.purpose, exchange.step + 1);
}

void Conversation::hear_keep_alives(Session& session) {
  const auto& exchange = session.exchange;
  if (exchange.purpose != ExchangePurpose::heartbeat || exchange.sent != nullptr || exchange.retry_ns != 0) return;
  if (session.cutter->keep_alives() == exchange.keep_alives) return;
  session.exchange = {};
  session.heartbeats_missed = 0;
}

std::uint64_t Conversation::due_ns(const Session& session) const {
  const auto& exchange = session.exchange;
  if (exchange.is_open()) return exchange.retry_ns != 0 ? exchange.retry_ns : exchange.deadline_ns;
  const auto& settings = state_->upstreams[session.upstream]->settings->heartbeat;
  if (settings.idle_ms == 0 || !session.is_up() || session.is_leased()) return 0;
  const auto idle_ns = session.heard_ns + settings.idle_ms * kNanosecondsPerMillisecond;
  if (session.heartbeat_ns == 0) return idle_ns;
  const auto interval_ms = std::max(settings.interval_min_ms, 1U);
  return std::max(idle_ns, session.heartbeat_ns + interval_ms * kNanosecondsPerMillisecond);
}

Pursued Conversation::tend(Session& session) {
  if (session.exchange.is_open()) return go_on(session);
  const auto due = due_ns(session);
  if (due == 0 || state_->now_ns < due) return Progress::waiting;
  return heartbeat(session);
}

// An answer is overdue, or there was no trace number.
Pursued Conversation::go_on(Session& session) {
  auto& upstream = state_->upstream_of(session);
  const auto exchange = session.exchange;
  if (state_->now_ns < exchange.deadline_ns) {
    if (exchange.retry_ns == 0 || state_->now_ns < exchange.retry_ns) return Progress::waiting;
    session.exchange = {};
    const bool is_heartbeat = exchange.purpose == ExchangePurpose::heartbeat;
    const auto& text =
        is_heartbeat ? *upstream.messages.heartbeat() : messages_of(upstream, exchange.purpose)[exchange.step];
    return begin(session, text, exchange);
  }
  if (exchange.purpose == ExchangePurpose::heartbeat) return miss(session);
  session.exchange = {};
  if (exchange.purpose == ExchangePurpose::sign_off) return Progress::done;  // said; we go either way
  const char* why = exchange.retry_ns != 0 ? "there was no trace number for the sign-on"
                                           : "the host did not answer the sign-on in time";
  return failed(Reason::sign_on_timeout, why);
}

Pursued Conversation::heartbeat(Session& session) {
  auto& upstream = state_->upstream_of(session);
  Exchange exchange{.purpose = ExchangePurpose::heartbeat,
                    .started_ns = state_->now_ns,
                    .deadline_ns = state_->now_ns + upstream.settings->heartbeat.answer_ms * kNanosecondsPerMillisecond,
                    .keep_alives = session.cutter->keep_alives()};
  const auto* text = upstream.messages.heartbeat();
  session.heartbeat_ns = state_->now_ns;
  if (text != nullptr) return begin(session, *text, exchange);
  const auto keep_alive = upstream.framing.keep_alive();
  session.own_words.insert(session.own_words.end(), keep_alive.begin(), keep_alive.end());
  session.exchange = exchange;
  return Progress::waiting;
}

// A host that talks but is slow to answer heartbeats is there.
Pursued Conversation::miss(Session& session) {
  const auto exchange = std::exchange(session.exchange, {});
  if (exchange.retry_ns != 0) return Progress::waiting;  // nothing was sent
  session.heartbeats_missed = session.heard_ns >= exchange.started_ns ? 0 : session.heartbeats_missed + 1;
  state_->upstream_of(session).changed = true;
  const auto misses_max = state_->upstream_of(session).settings->heartbeat.misses_max;
  if (session.heartbeats_missed < misses_max) return Progress::waiting;
  return failed(Reason::heartbeat_missed,
                "the host did not answer " + std::to_string(session.heartbeats_missed) + " heartbeats in a row");
}

bool Conversation::auto_reply(Session& session, const message::Frame& request) {
  auto& upstream = state_->upstream_of(session);
  const auto& replies = upstream.messages.auto_replies();
  const auto reply =
      std::ranges::find_if(replies, [&](const auto& candidate) { return candidate.matches(request.message); });
  if (reply == replies.end()) return false;
  text_.resize(std::max<std::size_t>(text_.size(), upstream.framing.message_bytes_max()));
  const auto length = reply->reply(request.message, std::span(text_).first(upstream.framing.message_bytes_max()));
  if (!length) return false;
  const auto message = std::span<const std::byte>(text_).first(*length);
  if (!write(session, message, request.received_header)) return false;
  ++upstream.auto_replies;
  return true;
}

bool Conversation::holds_key(const Upstream& upstream, const message::CorrelationKey& key) {
  return std::ranges::any_of(upstream.sessions, [&](const Session* session) { return session->exchange.key == key; });
}

void Conversation::end(Session& session) {
  auto& upstream = state_->upstream_of(session);
  session.exchange = {};
  session.own_words.clear();
  session.heartbeats_missed = 0;
  session.heartbeat_ns = 0;
  session.signed_off = false;
  const bool others_serve = std::ranges::any_of(
      upstream.sessions, [&](const Session* other) { return other != &session && is_connected(*other); });
  if (!others_serve) upstream.is_signed_on = false;
}

}  // namespace tlsmux::engine::mux
