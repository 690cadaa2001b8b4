#include "engine/streams/streams.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "config/leases.hpp"
#include "engine/mux/guaranteed_parts.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine::streams {

using shm::Reason;

namespace {

constexpr std::uint64_t kProbeIntervalNs = 10'000'000'000;

}  // namespace

const mux::Upstream& Streams::upstream_of(const Stream& stream) const {
  return *multiplexer_->upstreams()[stream.upstream];
}

StreamCounts& Streams::counts_of(std::uint32_t upstream) {
  if (upstream >= counts_.size()) counts_.resize(upstream + 1);
  auto& counts = counts_[upstream];
  counts.is_changed = true;  // whoever asks changes them
  return counts;
}

void Streams::mark(Stream& stream) {
  if (!std::exchange(stream.is_marked, true)) marked_.push_back(stream.id);
}

// ---- Opening ----

std::optional<std::string> Streams::why_full(const NewStream& stream) const {
  const auto& upstream = *multiplexer_->upstreams()[stream.upstream];
  const auto open_max = upstream.settings->streams.open_max;
  const auto open = counts(stream.upstream).open;
  if (open >= open_max) {
    return "the upstream has all its " + std::to_string(open_max) +
           " streams: raise its streams/open_max in the configuration";
  }
  const auto own = open_.find({stream.upstream, {.pid = stream.pid, .uid = stream.uid, .group = stream.group}});
  if (own != open_.end() && own->second > open_max - open) {
    return "the process has " + std::to_string(own->second) + " of the upstream's " + std::to_string(open_max) +
           " streams, more than are left for all others: raise its streams/open_max in the configuration";
  }
  mux::GuaranteedParts parts(upstream, open_max);
  for (auto one = open_.lower_bound({stream.upstream, {}}); one != open_.end() && one->first.first == stream.upstream;
       ++one) {
    parts.hold(one->first.second.group, one->second);
  }
  if (parts.may_have_another(stream.group)) return std::nullopt;
  return "what is left of the upstream's " + std::to_string(open_max) +
         " streams is kept for other groups: raise its streams/open_max in the configuration";
}

void Streams::turn_away(const NewStream& stream, std::string_view why) {
  ++counts_of(stream.upstream).refused;
  events_->event({.kind = mux::EventKind::stream_ended,
                  .upstream = multiplexer_->upstreams()[stream.upstream]->settings->name,
                  .reason = Reason::overload,
                  .words = why,
                  .group = config_->groups[stream.group].name,
                  .stream = stream.number,
                  .pid = stream.pid,
                  .uid = stream.uid});
}

void Streams::open(NewStream&& opened) {
  auto& stream = table_.add();
  stream.number = opened.number;
  stream.upstream = opened.upstream;
  stream.process = {.pid = opened.pid, .uid = opened.uid, .group = opened.group};
  stream.turn = processes_.take(stream.process);
  stream.tells_hang_up = opened.tells_hang_up;
  stream.believes_half_close = opened.believes_half_close;
  ++open_[{stream.upstream, stream.process}];
  auto& counts = counts_of(stream.upstream);
  ++counts.open;
  ++counts.opened;
  sockets_->adopt(stream.id, std::move(opened.socket));
  const auto& settings = *upstream_of(stream).settings;
  stream.is_leased = config::leases_sessions(settings);
  // It must not wait: once drained, the upstream may start anew with settings by which the stream is of another kind.
  const auto reason = multiplexer_->why_in_vain(stream.upstream, stream.process.group);
  if (reason && upstream_of(stream).draining) return say_refused(stream, *reason, shm::reason_text(*reason));
  if (stream.is_leased) {
    stream.has_asked_lease = true;
    return multiplexer_->leases().ask({.upstream = opened.upstream,
                                       .group = opened.group,
                                       .stream = stream.id,
                                       .wait_ms = opened.wait_ms,
                                       .alpn = opened.alpn});
  }
  const auto wait_ms = opened.wait_ms != 0 ? std::min(opened.wait_ms, config::kTimeoutMsMax) : settings.streams.wait_ms;
  stream.wait_ends_ns = now_ns_ + wait_ms * mux::kNanosecondsPerMillisecond;
  waiting_.push_back(stream.id);
}

// A message stream needs no session of its own, but it shows one.
void Streams::look_for_session(Stream& stream) {
  const auto& upstream = upstream_of(stream);
  if (const auto reason = multiplexer_->why_in_vain(stream.upstream, stream.process.group)) {
    const bool explains = *reason == upstream.last_error_reason && !upstream.last_error.empty();
    return say_refused(stream, *reason, explains ? std::string_view(upstream.last_error) : shm::reason_text(*reason));
  }
  const auto up = std::ranges::find_if(upstream.sessions, &mux::Session::is_up);
  if (up != upstream.sessions.end()) return become_open(stream, (*up)->facts);
  if (now_ns_ >= stream.wait_ends_ns) {
    say_refused(stream, Reason::deadline, "no session of the upstream came up in the time that the process waits");
  }
}

void Streams::become_open(Stream& stream, const tls::PeerFacts& facts) {
  stream.stage = StreamStage::open;
  stream.output.add_opened(facts);
  if (stream.is_leased) {
    stream.lease = std::make_unique<LeasedStream>(stream.id, multiplexer_->leases(), stream.output);
  } else {
    const MessageStream::Asker asker{
        .stream = stream.id, .upstream = stream.upstream, .group = stream.process.group, .turn = stream.turn};
    stream.messages = std::make_unique<MessageStream>(asker, *multiplexer_, stream.output);
  }
  mark(stream);
}

// ---- From the sockets ----

void Streams::process_sent(mux::StreamId id, std::span<const std::byte> bytes) {
  auto* const stream = table_.find(id);
  if (stream == nullptr) return;
  stream->receiving = false;
  stream->process_finished = bytes.empty();
  mark(*stream);
  if (stream->stage != StreamStage::open) return;
  if (stream->process_finished) {
    if (!stream->is_leased) return stream->messages->finish();
    stream->lease->finish();
    sockets_->watch_hang_up(id);
  } else if (stream->is_leased) {
    stream->lease->take(bytes);
  } else if (!stream->messages->end() && !stream->leaves_with) {
    stream->messages->take(bytes);
  }
}

void Streams::socket_failed(mux::StreamId id, int error) {
  auto* const stream = table_.find(id);
  if (stream == nullptr) return;
  stream->is_broken = true;
  if (error != EPIPE) stream->has_read_all = false;
  mark(*stream);
}

void Streams::socket_took(mux::StreamId id, std::int64_t result) {
  auto* const stream = table_.find(id);
  if (stream == nullptr) return;
  stream->sending = false;
  if (result > 0) stream->output.taken(static_cast<std::size_t>(result));
  if (result < 0) {
    stream->is_broken = true;
    stream->has_read_all = false;
  }
  mark(*stream);
}

void Streams::socket_closed(mux::StreamId id) {
  auto* const stream = table_.find(id);
  if (stream == nullptr) return;
  processes_.give_back(stream->process);
  const auto own = open_.find({stream->upstream, stream->process});
  if (--own->second == 0) open_.erase(own);
  --counts_of(stream->upstream).open;
  table_.remove(*stream);
}

// ---- Outcomes of messages ----

// The multiplexer has no caller whose stream has been given up.
MessageStream& Streams::messages_of(const mux::Caller& caller) {
  auto* const stream = table_.find(stream_of(caller));
  TMX_ASSERT(stream != nullptr && stream->messages != nullptr);
  mark(*stream);
  return *stream->messages;
}

bool Streams::take(const mux::Caller& caller) { return messages_of(caller).take(caller); }
bool Streams::still_wanted(const mux::Caller& caller) { return !messages_of(caller).end(); }
std::span<const std::byte> Streams::message(const mux::Caller& caller, std::uint32_t length) {
  return messages_of(caller).message(caller, length);
}
bool Streams::answer(const mux::Caller& caller, std::span<const std::byte> message) {
  return messages_of(caller).answer(caller, message);
}
bool Streams::refuse(const mux::Caller& caller, const mux::Refusal& refusal) {
  return messages_of(caller).refuse(caller, refusal);
}
bool Streams::lose(const mux::Caller& caller, Reason reason) { return messages_of(caller).lose(caller, reason); }

// ---- Leases ----

void Streams::lease_granted(mux::StreamId id, const tls::PeerFacts& facts) {
  auto* const stream = table_.find(id);
  TMX_ASSERT(stream != nullptr && stream->stage == StreamStage::waiting);
  become_open(*stream, facts);
}

void Streams::lease_refused(mux::StreamId id, Reason reason, std::string_view words) {
  auto* const stream = table_.find(id);
  TMX_ASSERT(stream != nullptr);
  stream->has_asked_lease = false;
  say_refused(*stream, reason, words);
}

void Streams::host_sent(mux::StreamId id, std::span<const std::byte> bytes) {
  auto* const stream = table_.find(id);
  TMX_ASSERT(stream != nullptr);
  if (stream->stage == StreamStage::open) stream->output.add_data(bytes);
  mark(*stream);
}

void Streams::lease_has_room(mux::StreamId id) {
  auto* const stream = table_.find(id);
  if (stream != nullptr) mark(*stream);
}

void Streams::host_finished(mux::StreamId id) {
  auto* const stream = table_.find(id);
  TMX_ASSERT(stream != nullptr);
  if (stream->lease != nullptr) stream->lease->host_finished();
  mark(*stream);
}

void Streams::lease_lost(mux::StreamId id, Reason reason, std::string_view words, bool maybe_sent) {
  auto* const stream = table_.find(id);
  TMX_ASSERT(stream != nullptr);
  stream->has_asked_lease = false;
  say_lost(*stream, reason, words, maybe_sent);
}

// ---- Its work ----

bool Streams::tend() {
  std::erase_if(waiting_, [&](mux::StreamId id) {
    auto* const stream = table_.find(id);
    if (stream != nullptr && stream->stage == StreamStage::waiting) look_for_session(*stream);
    return stream == nullptr || stream->stage != StreamStage::waiting;
  });
  std::erase_if(probed_, [&](mux::StreamId id) {
    auto* const stream = table_.find(id);
    if (stream == nullptr || stream->stage != StreamStage::open) return true;
    if (now_ns_ >= stream->probe_due_ns) mark(*stream);
    return false;
  });
  for (const auto id : std::exchange(queueing_, {})) {
    if (auto* const stream = table_.find(id)) mark(*stream);
  }
  bool any = false;
  std::swap(tending_, marked_);
  for (const auto id : tending_) {
    auto* const stream = table_.find(id);
    if (stream == nullptr) continue;
    stream->is_marked = false;
    any = tend(*stream) || any;
  }
  tending_.clear();
  return any;
}

bool Streams::tend(Stream& stream) {
  if (stream.stage == StreamStage::closing) return false;
  if (stream.is_broken) {
    drop(stream);
    return false;
  }
  bool asked = false;
  if (stream.stage == StreamStage::open) {
    if (stream.is_leased) {
      tend_leased(stream);
    } else {
      asked = tend_messages(stream);
    }
  }
  move_bytes(stream);
  if (stream.messages != nullptr && !stream.messages->end() && stream.messages->is_queueing()) {
    queueing_.push_back(stream.id);
  }
  return asked;
}

void Streams::tend_leased(Stream& stream) {
  auto& lease = *stream.lease;
  lease.write_kept();
  if (lease.is_over()) {
    give_up(stream);
    return end(stream);
  }
  // Who writes no more and is owed nothing needs the session no more, whether it is still there or not.
  if (lease.has_finished()) {
    const bool is_presumed = !stream.tells_hang_up && !stream.believes_half_close;
    if (multiplexer_->leases().is_at_rest(stream.id).value_or(is_presumed)) return say_closed(stream);
    if (!stream.tells_hang_up) probe(stream);
  }
  lease.regulate(upstream_of(stream).settings->streams.buffer_bytes);
}

// A TCP socket that nobody has any more refuses what is sent to it. Its process may leave at any time, and the host never
// answer.
void Streams::probe(Stream& stream) {
  if (now_ns_ < stream.probe_due_ns) return;
  const bool is_first = stream.probe_due_ns == 0;
  if (is_first) probed_.push_back(stream.id);
  stream.probe_due_ns = now_ns_ + kProbeIntervalNs;
  if (is_first || stream.output.bytes() == 0) stream.output.add_probe();
}

// True: something was asked.
bool Streams::tend_messages(Stream& stream) {
  auto& messages = *stream.messages;
  const bool asked = !messages.end() && !stream.leaves_with && messages.ask_kept();
  if (messages.end()) {
    const auto over = *messages.end();
    say_lost(stream, over.reason, over.words, over.maybe_sent);
  } else if (stream.process_finished && messages.is_idle()) {
    say_closed(stream);
  } else if (stream.leaves_with && !messages.has_asked()) {
    say_lost(stream, *stream.leaves_with, shm::reason_text(*stream.leaves_with), false);
  }
  return asked;
}

void Streams::move_bytes(Stream& stream) {
  if (stream.stage == StreamStage::ending && stream.output.bytes() == 0 && !stream.sending) {
    stream.stage = StreamStage::closing;
    return sockets_->close(stream.id, stream.is_cut_off);
  }
  if (!stream.sending && stream.output.bytes() > 0) {
    stream.sending = true;
    sockets_->send(stream.id, stream.output.next());
  }
  if (may_receive(stream)) {
    stream.receiving = true;
    sockets_->receive(stream.id);
  }
}

bool Streams::may_receive(const Stream& stream) const {
  if (stream.receiving || stream.process_finished) return false;
  if (stream.stage == StreamStage::ending) return true;  // what nobody wants any more must not keep its writer waiting
  if (stream.stage != StreamStage::open) return false;
  if (stream.is_leased) return stream.lease->has_room();
  const auto buffer_bytes = upstream_of(stream).settings->streams.buffer_bytes;
  return !stream.leaves_with && stream.messages->has_room() && stream.output.bytes() < buffer_bytes;
}

std::uint64_t Streams::next_due_ns() const {
  std::uint64_t earliest = 0;
  for (const auto id : waiting_) {
    const auto* const stream = table_.find(id);
    if (stream == nullptr || stream->stage != StreamStage::waiting) continue;
    if (earliest == 0 || stream->wait_ends_ns < earliest) earliest = stream->wait_ends_ns;
  }
  for (const auto id : probed_) {
    const auto* const stream = table_.find(id);
    if (stream == nullptr || stream->stage != StreamStage::open) continue;
    if (earliest == 0 || stream->probe_due_ns < earliest) earliest = stream->probe_due_ns;
  }
  return earliest;
}

}  // namespace tlsmux::engine::streams
