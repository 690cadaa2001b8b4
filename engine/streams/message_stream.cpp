#include "engine/streams/message_stream.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "shm/assert.hpp"

namespace tlsmux::engine::streams {
namespace {

constexpr std::size_t kEchoesMax = 64;  // at a time: what a process asks for beyond that, it does not get

}  // namespace

MessageStream::MessageStream(const Asker& asker, mux::Multiplexer& multiplexer, StreamOutput& output)
    : asker_(asker),
      multiplexer_(&multiplexer),
      output_(&output),
      order_(upstream().settings->streams.order),
      cutter_(upstream().framing),
      answer_header_(upstream().framing.header_bytes()) {}

void MessageStream::take(std::span<const std::byte> bytes) {
  TMX_ASSERT(!end_);
  const auto keep_alives = cutter_.keep_alives();
  const auto cut = cutter_.feed(bytes, [&](const message::Frame& frame) {
    if (end_) return;
    if (has_room()) return ask(frame.message, frame.received_header);
    kept_.push_back({.bytes = {frame.message.begin(), frame.message.end()},
                     .header = {frame.received_header.begin(), frame.received_header.end()}});
  });
  if (!cut) return fail(shm::Reason::unparsable, message::framing_error_text(cut.error()), false);
  echo(cutter_.keep_alives() - keep_alives);
}

void MessageStream::finish() {
  if (!cutter_.at_boundary()) fail(shm::Reason::unparsable, "the process ended its stream within a message", false);
}

bool MessageStream::ask_kept() {
  bool any = false;
  while (!kept_.empty() && may_ask() && !end_) {
    const auto message = std::move(kept_.front());
    kept_.pop_front();
    ask(message.bytes, message.header);
    any = true;
  }
  return any;
}

void MessageStream::ask(std::span<const std::byte> message, std::span<const std::byte> header) {
  const auto number = free_place();
  auto& place = places_[number];
  place.stage = Stage::asked;
  place.message.assign(message.begin(), message.end());
  place.header_bytes = header.size();
  std::ranges::copy(header, place.header.begin());
  ++open_;
  if (is_in_order()) asked_.push_back(number);
  const mux::Caller caller{.channel = mux::kStreamChannel,
                           .request_slot = number,
                           .response_slot = 0,
                           .generation = pack(asker_.stream),
                           .tag = ++count_};
  // kNone: it has been refused, and its place is free again.
  const auto index = multiplexer_->submit({.upstream = asker_.upstream,
                                           .group = asker_.group,
                                           .client = asker_.turn,
                                           .caller = caller,
                                           .length = static_cast<std::uint32_t>(message.size())});
  if (index != mux::kNone) places_[number].index = index;
}

std::uint32_t MessageStream::free_place() {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(places_.size()));
    places_.emplace_back();
  }
  const auto number = free_.back();
  free_.pop_back();
  return number;
}

void MessageStream::release(std::uint32_t number) {
  auto& place = places_[number];
  place.stage = Stage::free;
  place.index = mux::kNone;
  free_.push_back(number);
  --open_;
}

MessageStream::Place& MessageStream::place_of(const mux::Caller& caller) {
  TMX_ASSERT(caller.request_slot < places_.size() && places_[caller.request_slot].stage == Stage::asked);
  return places_[caller.request_slot];
}

// ---- Outcomes ----

bool MessageStream::take(const mux::Caller& caller) {
  place_of(caller);
  if (!end_) return true;
  release(caller.request_slot);
  return false;
}

std::span<const std::byte> MessageStream::message(const mux::Caller& caller, std::uint32_t length) {
  return std::span(place_of(caller).message).first(length);
}

// As the host itself would frame it.
bool MessageStream::answer(const mux::Caller& caller, std::span<const std::byte> message) {
  auto& place = place_of(caller);
  const auto& framing = upstream().framing;
  framing.write_header(answer_header_, message.size(), std::span(place.header).first(place.header_bytes));
  const std::array<std::span<const std::byte>, 3> parts{answer_header_, message, framing.trailer()};
  if (!is_in_order()) {
    output_->add_data(parts);
    release(caller.request_slot);
    return true;
  }
  place.stage = Stage::answered;
  place.answer.clear();
  for (const auto part : parts) place.answer.insert(place.answer.end(), part.begin(), part.end());
  pass_on_in_order();
  return true;
}

void MessageStream::pass_on_in_order() {
  while (!asked_.empty() && places_[asked_.front()].stage == Stage::answered) {
    const auto number = asked_.front();
    asked_.pop_front();
    output_->add_data(std::exchange(places_[number].answer, {}));
    release(number);
  }
}

bool MessageStream::refuse(const mux::Caller& caller, const mux::Refusal& refusal) {
  place_of(caller);
  std::string words(shm::reason_text(refusal.reason));
  if (refusal.reason == shm::Reason::unparsable) {
    words +=
        " (field " + std::to_string(refusal.error_field) + ", at byte " + std::to_string(refusal.error_offset) + ")";
  }
  release(caller.request_slot);
  fail(refusal.reason, std::move(words), false);
  return true;
}

bool MessageStream::lose(const mux::Caller& caller, shm::Reason reason) {
  place_of(caller);
  release(caller.request_slot);
  fail(reason, std::string(shm::reason_text(reason)), true);
  return true;
}

// The first word counts, but for what may have been sent.
void MessageStream::fail(shm::Reason reason, std::string words, bool maybe_sent) {
  if (!end_) {
    end_ = StreamEnd{.reason = reason, .words = std::move(words), .maybe_sent = maybe_sent};
  } else {
    end_->maybe_sent = end_->maybe_sent || maybe_sent;
  }
}

bool MessageStream::give_up() {
  // Of what was lost in this turn nobody has been told yet.
  bool maybe_sent = end_ && end_->maybe_sent;
  kept_.clear();
  for (std::uint32_t number = 0; number < places_.size(); ++number) {
    const auto& place = places_[number];
    if (place.stage == Stage::free) continue;
    if (place.stage == Stage::asked) {
      maybe_sent = maybe_sent || multiplexer_->request(place.index).state == mux::RequestState::in_flight;
      multiplexer_->abandon(place.index, shm::Reason::cancelled);
    } else {
      maybe_sent = true;  // and answered, after one that is not
    }
    release(number);
  }
  asked_.clear();
  return maybe_sent;
}

void MessageStream::echo(std::uint64_t keep_alives) {
  if (keep_alives == 0 || !upstream().framing.echoes_keep_alives()) return;
  for (auto left = std::min<std::uint64_t>(keep_alives, kEchoesMax); left > 0; --left) {
    output_->add_data(cutter_.last_keep_alive());
  }
}

}  // namespace tlsmux::engine::streams
