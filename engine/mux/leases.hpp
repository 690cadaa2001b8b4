#pragma once

// Sessions that belong to one stream at a time: who has which, who waits, and which go back to the pool.
// engine/streams/STREAMS.md says when. No system call, no clock.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/mux/session_life.hpp"
#include "engine/mux/state.hpp"

namespace tlsmux::engine::mux {

struct NewLease {
  std::uint32_t upstream = 0;  // its sessions are leased
  std::uint32_t group = 0;
  StreamId stream;            // has no lease, and waits for none
  std::uint32_t wait_ms = 0;  // 0: the upstream's streams.wait_ms
  std::string_view alpn;      // what the stream's program offers, as in RFC 7301; empty: it does not mind
};

class Leases {
 public:
  Leases(MuxState& state, SessionLife& life) : state_(&state), life_(&life) {}

  // ---- For the streams. LeaseHolders is told in none of these.

  // Leads to `lease_granted` or `lease_refused`, in a later flush.
  void ask(const NewLease& lease);

  // For a stream without a session these four do nothing: the last may have been said of it a moment ago.
  //
  // Seals what there is room for, and sends it: how many bytes. Less than all: `lease_has_room` follows, or the end.
  std::size_t write(StreamId stream, std::span<const std::byte> bytes);
  // The stream writes no more. The host is told, by close_notify, where it cannot know by the messages themselves that the
  // last one has come: with framing `none`, unless the session is to be used again (`reuse: always`). Not in TLS 1.2, where
  // it would end both directions (RFC 5246 section 7.2.1).
  void finish_writing(StreamId stream);
  // The stream cannot take more of what the host sends, or can again. What has come already is still delivered.
  void hold(StreamId stream);
  void resume(StreamId stream);

  // Of a stream that writes no more and has a session: whether it is owed nothing. Nothing: that cannot be known.
  [[nodiscard]] std::optional<bool> is_at_rest(StreamId stream);

  // The stream is gone, whether it waits, has a session or had one. Whether its session may be another's is judged here;
  // one that may not ends when all that was written has been sent. `has_read_all`: its process has, of what the host sent.
  void give_back(StreamId stream, bool has_read_all = true);

  // Streams that have a session of the upstream, or wait for one.
  [[nodiscard]] static std::size_t count(const Upstream& upstream);

  // ---- For the multiplexer.

  // Brings those that wait to sessions that are free, and refuses those that wait in vain or for too long.
  void serve(Upstream& upstream);
  void refuse_waiting(Upstream& upstream, shm::Reason reason);
  // After `streams.reuse` was something else: what streams have left on their sessions was judged by that.
  void reuse_changed(Upstream& upstream, config::StreamReuse before);

  // ---- News of sessions, of all upstreams.

  void session_ready(Session& session);
  // False: this is for the engine itself, or for requests.
  bool received(Session& session, std::span<const std::byte> plaintext);
  // What was received is the answer to nothing that the engine has asked.
  static void intrude(Session& session) { session.lease.is_intruded = true; }
  // After all that one piece of the wire held. Ends a session that has spoken while nobody had asked.
  void settle(Session& session);
  // Sends no more: has said so, or just closed the connection. False: that is its loss.
  bool host_finished(Session& session);
  bool host_closed(Session& session, int error);
  void has_sent(Session& session);
  // After the last completion of its last send.
  void session_ended(Session& session);

 private:
  struct Place {
    StreamId stream;
    std::uint32_t upstream = kNone;  // kNone: has no lease, and waits for none
    std::uint32_t session = kNone;   // index; kNone: it waits
    std::uint32_t group = 0;
  };

  Place* find(StreamId stream);
  // Null: it has none, or one that is about to end.
  Session* session_of(StreamId stream);
  Session* choose(Upstream& upstream, std::string_view alpn);
  void grant(Session& session, const WaitingStream& waiting);
  void refuse(Upstream& upstream, const WaitingStream& waiting, shm::Reason reason, std::string_view words);
  void refuse_overdue(Upstream& upstream);
  bool refuse_in_vain(Upstream& upstream, const WaitingStream& next);
  // In words, when sessions are up.
  std::string why_none_is_free(const Upstream& upstream, std::uint32_t group);
  bool is_part_of_others(const Upstream& upstream, std::uint32_t group);
  [[nodiscard]] bool is_hopeful(const Upstream& upstream) const;
  void renew_boundary(Session& session);
  void settle_doubt(Session& session);
  void say_close_notify(Session& session);
  void end_idle(Session& session, shm::Reason reason, std::string words);

  MuxState* state_;
  SessionLife* life_;
  std::vector<Place> places_;  // by the stream's index
};

}  // namespace tlsmux::engine::mux
