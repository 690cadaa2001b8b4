// How streams end, and what is said of that.

#include <utility>

#include "engine/streams/streams.hpp"

namespace tlsmux::engine::streams {

using shm::Reason;

// What a session's end does not say.
void Streams::tell_end(const Stream& stream, Reason reason, std::string_view words) {
  const bool is_own = reason == Reason::unparsable || reason == Reason::duplicate_key || reason == Reason::deadline ||
                      reason == Reason::overload || reason == Reason::handshake_failed;
  if (!is_own) return;
  events_->event({.kind = mux::EventKind::stream_ended,
                  .upstream = upstream_of(stream).settings->name,
                  .reason = reason,
                  .words = words,
                  .group = config_->groups[stream.process.group].name,
                  .stream = stream.number,
                  .pid = stream.process.pid,
                  .uid = stream.process.uid});
}

void Streams::say_refused(Stream& stream, Reason reason, std::string_view words) {
  tell_end(stream, reason, words);
  ++counts_of(stream.upstream).refused;
  stream.output.add_end(shm::StreamRecordType::refused, reason, words, false);
  end(stream);
}

void Streams::say_lost(Stream& stream, Reason reason, std::string_view words, bool maybe_sent) {
  tell_end(stream, reason, words);
  ++counts_of(stream.upstream).lost;
  const bool any_given_up = give_up(stream);
  stream.output.add_end(shm::StreamRecordType::lost, reason, words, maybe_sent || any_given_up);
  stream.is_cut_off = reason != Reason::host_closed;
  end(stream);
}

void Streams::say_closed(Stream& stream) {
  give_up(stream);
  stream.output.add_closed();
  end(stream);
}

// The last word stands in its output.
void Streams::end(Stream& stream) {
  stream.stage = StreamStage::ending;
  mark(stream);
}

// True: of what it had asked, something may have been sent. Not within a call of the multiplexer, unless that has said its
// last of this stream.
bool Streams::give_up(Stream& stream) {
  const bool maybe_sent = stream.messages != nullptr && stream.messages->give_up();
  stream.messages.reset();
  stream.lease.reset();
  if (std::exchange(stream.has_asked_lease, false)) {
    multiplexer_->leases().give_back(stream.id, stream.has_read_all && stream.output.bytes() == 0);
  }
  return maybe_sent;
}

// Its process is gone, or can be told nothing any more.
void Streams::drop(Stream& stream) {
  give_up(stream);
  stream.stage = StreamStage::closing;
  sockets_->close(stream.id, false);
}

void Streams::leave(Stream& stream, Reason reason) {
  if (stream.stage == StreamStage::waiting) {
    give_up(stream);
    say_refused(stream, reason, shm::reason_text(reason));
  } else if (stream.stage == StreamStage::open && !stream.is_leased) {
    stream.leaves_with = reason;
    mark(stream);
  }
}

void Streams::leave_all(Reason reason) {
  table_.for_each([&](Stream& stream) { leave(stream, reason); });
}

void Streams::leave_upstream(std::uint32_t upstream, Reason reason) {
  table_.for_each([&](Stream& stream) {
    if (stream.upstream == upstream) leave(stream, reason);
  });
}

void Streams::shut_out(std::uint32_t upstream, std::uint32_t group) {
  table_.for_each([&](Stream& stream) {
    if (stream.upstream != upstream || stream.process.group != group) return;
    const bool has_session = stream.stage == StreamStage::open && stream.is_leased;
    if (!has_session) return leave(stream, Reason::upstream_removed);
    say_lost(stream, Reason::upstream_removed, shm::reason_text(Reason::upstream_removed), true);
  });
}

void Streams::end_all(Reason reason) {
  table_.for_each([&](Stream& stream) {
    if (stream.stage == StreamStage::open) {
      say_lost(stream, reason, shm::reason_text(reason), stream.is_leased);
    } else {
      leave(stream, reason);
    }
  });
}

void Streams::close_sockets() {
  table_.for_each([&](Stream& stream) {
    if (stream.stage != StreamStage::closing) drop(stream);
  });
}

}  // namespace tlsmux::engine::streams
