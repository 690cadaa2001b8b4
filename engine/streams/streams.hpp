#pragma once

// All streams of a shard: bytes in, bytes out, flow control. STREAMS.md says what a stream is. Does no system call and
// reads no clock. One thread.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/mux/multiplexer.hpp"
#include "engine/streams/process_numbers.hpp"
#include "engine/streams/stream_sockets.hpp"
#include "engine/streams/stream_table.hpp"
#include "shm/outcome.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::streams {

// A process that the control thread has judged: it may use the upstream, as one of the group.
struct NewStream {
  std::uint64_t number = 0;  // unique over the engine's life, for the log
  std::uint32_t upstream = 0;
  std::uint32_t group = 0;
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;
  std::uint32_t wait_ms = 0;  // 0: the upstream's streams.wait_ms
  std::string alpn{};         // that its program offers, as in RFC 7301; empty: it does not mind
  shm::UniqueFd socket{};     // the engine's end, blocking
  // A UNIX socket: it tells a process that is gone from one that only writes no more.
  bool tells_hang_up = true;
  // Of another socket: who writes no more reads still, also where it cannot be known whether it waits for anything.
  bool believes_half_close = false;
};

// Of one upstream.
struct StreamCounts {
  std::uint32_t open = 0;
  std::uint64_t opened = 0;   // since the beginning, refused ones included
  std::uint64_t refused = 0;  // for want of a session, or of room for one more
  std::uint64_t lost = 0;
  bool is_changed = false;  // since it was last shown
};

class Streams final : public mux::LeaseHolders {
 public:
  // All outlive it.
  Streams(const config::Config& config, mux::Multiplexer& multiplexer, StreamSockets& sockets, mux::Events& events)
      : config_(&config), multiplexer_(&multiplexer), sockets_(&sockets), events_(&events) {}
  ~Streams() override = default;

  void set_time(std::uint64_t now_ns) { now_ns_ = now_ns; }

  // Why there is no room for one more, in words; nothing: there is. A process has as many of an upstream's
  // streams.open_max as are left for others, and one more; a group leaves the others their parts.
  [[nodiscard]] std::optional<std::string> why_full(const NewStream& stream) const;
  // Counts and logs it.
  void turn_away(const NewStream& stream, std::string_view why);
  void open(NewStream&& stream);

  // From the sockets. For a stream that is over they do nothing. No bytes: the process writes no more. EPIPE: it is gone, and
  // has read all; any other error: it is gone.
  void process_sent(mux::StreamId stream, std::span<const std::byte> bytes);
  void socket_failed(mux::StreamId stream, int error);
  void socket_took(mux::StreamId stream, std::int64_t result);
  void socket_closed(mux::StreamId stream);

  // Outcomes of a message stream's messages; as mux::Callers, for callers with is_stream().
  bool take(const mux::Caller& caller);
  bool still_wanted(const mux::Caller& caller);
  std::span<const std::byte> message(const mux::Caller& caller, std::uint32_t length);
  bool answer(const mux::Caller& caller, std::span<const std::byte> message);
  bool refuse(const mux::Caller& caller, const mux::Refusal& refusal);
  bool lose(const mux::Caller& caller, shm::Reason reason);

  // mux::LeaseHolders.
  void lease_granted(mux::StreamId stream, const tls::PeerFacts& facts) override;
  void lease_refused(mux::StreamId stream, shm::Reason reason, std::string_view words) override;
  void host_sent(mux::StreamId stream, std::span<const std::byte> bytes) override;
  void lease_has_room(mux::StreamId stream) override;
  void host_finished(mux::StreamId stream) override;
  void lease_lost(mux::StreamId stream, shm::Reason reason, std::string_view words, bool maybe_sent) override;

  // Asks what waits for room, sends what has come, ends what is over. In each turn, before and after what has been asked
  // is sealed. True: something was asked.
  bool tend();
  // When tend() is next needed by itself; 0: not.
  [[nodiscard]] std::uint64_t next_due_ns() const;

  // Message streams take no more and end when nothing of theirs is in flight; what waits is refused. Leased streams go on
  // until their sessions end.
  void drain() { leave_all(shm::Reason::engine_draining); }
  void leave_upstream(std::uint32_t upstream, shm::Reason reason);
  // Of the members of a group that may not use the upstream any more. Leased streams, too, end at once.
  void shut_out(std::uint32_t upstream, std::uint32_t group);
  // Now.
  void end_all(shm::Reason reason);
  // Also those whose process has not read its last record.
  void close_sockets();

  [[nodiscard]] std::size_t size() const { return table_.size(); }  // those that are ending included
  bool take_changed(std::uint32_t upstream) {
    return upstream < counts_.size() && std::exchange(counts_[upstream].is_changed, false);
  }
  [[nodiscard]] StreamCounts counts(std::uint32_t upstream) const {
    return upstream < counts_.size() ? counts_[upstream] : StreamCounts{};
  }

 private:
  void mark(Stream& stream);
  bool tend(Stream& stream);
  void tend_leased(Stream& stream);
  void probe(Stream& stream);
  bool tend_messages(Stream& stream);
  void look_for_session(Stream& stream);
  void become_open(Stream& stream, const tls::PeerFacts& facts);
  void move_bytes(Stream& stream);
  void end(Stream& stream);
  [[nodiscard]] bool may_receive(const Stream& stream) const;
  void leave(Stream& stream, shm::Reason reason);
  void leave_all(shm::Reason reason);
  void say_refused(Stream& stream, shm::Reason reason, std::string_view words);
  void say_lost(Stream& stream, shm::Reason reason, std::string_view words, bool maybe_sent);
  void say_closed(Stream& stream);
  bool give_up(Stream& stream);
  void drop(Stream& stream);
  MessageStream& messages_of(const mux::Caller& caller);
  [[nodiscard]] const mux::Upstream& upstream_of(const Stream& stream) const;
  StreamCounts& counts_of(std::uint32_t upstream);
  void tell_end(const Stream& stream, shm::Reason reason, std::string_view words);

  const config::Config* config_;
  mux::Multiplexer* multiplexer_;
  StreamSockets* sockets_;
  mux::Events* events_;
  StreamTable table_;
  ProcessNumbers processes_;
  std::map<std::pair<std::uint32_t, ProcessNumbers::Process>, std::uint32_t> open_;  // by upstream and process
  std::vector<StreamCounts> counts_;                                                 // by upstream
  std::vector<mux::StreamId> marked_;
  std::vector<mux::StreamId> tending_;
  std::vector<mux::StreamId> waiting_;   // message streams; some may be gone
  std::vector<mux::StreamId> probed_;    // some may be gone
  std::vector<mux::StreamId> queueing_;  // the queue of their upstream was full; some may be gone
  std::uint64_t now_ns_ = 0;
};

}  // namespace tlsmux::engine::streams
