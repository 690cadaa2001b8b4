// What an engine's process has to do with streams: the control thread's part, and what can be seen of them from outside.

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>
#include <vector>

#include "config/leases.hpp"
#include "engine/mux/lease_pool.hpp"
#include "tests/simulation/engine_process.hpp"

namespace tlsmux::simulation {

void EngineProcess::open_stream(const StreamWish& wish) {
  // Stands for the engine's end: only its number means something here.
  auto socket = make_eventfd();
  stream_sockets_.announce(socket.get(), wish.pipe);
  streams_asked_[wish.pipe->stream] = wish.pipe;
  commands_.emplace_back(engine::OpenStream{.asker = 0,
                                            .number = wish.pipe->stream,
                                            .upstream = context_.upstream(wish.upstream).name,
                                            .groups = {wish.group},
                                            .pid = wish.pid,
                                            .uid = 0,
                                            .wait_ms = wish.wait_ms,
                                            .socket = std::move(socket),
                                            .tells_hang_up = wish.pipe->tells_hang_up});
}

void EngineProcess::take(const engine::StreamOpened& reply) {
  const auto asked = streams_asked_.extract(reply.number);
  if (asked.empty()) throw Violation("the engine speaks of a stream that nobody has asked for");
  if (reply.error == 0) return;
  if (reply.error == EACCES && !has_shut_out_) throw Violation("a stream's upstream is refused to its group");
  if (reply.error != EAGAIN && reply.error != ENOENT && reply.error != EACCES) {
    throw Violation("a stream is refused with " + std::to_string(reply.error) + ": " + reply.error_text);
  }
  if (reply.error == ENOENT && removed_.empty()) throw Violation("a stream's upstream is not found");
  if (reply.error_text.contains("kept for other groups")) context_.note(Seen::stream_kept_for_others);
  asked.mapped()->engine_closed = true;
  context_.streams.turned_away(reply.number);
}

// ---- Leases ----

template <typename Visit>
void EngineProcess::for_each_leased(Visit visit) {
  for (const auto& upstream : shard_->multiplexer().upstreams()) {
    if (!config::leases_sessions(*upstream->settings)) continue;
    for (const auto* session : upstream->sessions) {
      const auto* connection = network_.connection(session->id.index);
      if (connection == nullptr || connection->session() != session->id) continue;
      const auto stream = session->lease.holder ? stream_sockets_.number_of(*session->lease.holder) : 0;
      visit(*upstream, SessionView{.connection = connection->number(),
                                   .stream = stream,
                                   .is_up = session->is_up(),
                                   .is_held = connection->is_held() && !session->closing,
                                   .has_output = stream != 0 && stream_sockets_.is_sending(*session->lease.holder),
                                   .is_sending = !session->wire.empty()});
    }
  }
}

void EngineProcess::note_settings() {
  reuse_before_.clear();
  for (const auto& upstream : shard_->multiplexer().upstreams()) {
    reuse_before_.push_back(upstream->settings->streams.reuse);
  }
}

// Where the settings have changed in this turn, either may have been applied.
void EngineProcess::observe_leases() {
  const auto& upstreams = shard_->multiplexer().upstreams();
  for (std::size_t i = 0; i < upstreams.size(); ++i) {
    if (upstreams[i]->settings->streams.reuse != reuse_before_[i]) reuse_before_[i] = config::StreamReuse::always;
  }
  for_each_leased([&](const engine::mux::Upstream& upstream, const SessionView& view) {
    auto settings = upstream.settings->streams;
    for (std::size_t i = 0; i < upstreams.size(); ++i) {
      if (upstreams[i].get() == &upstream) settings.reuse = reuse_before_[i];
    }
    context_.leases.observe(view, settings);
  });
}

void EngineProcess::check_streams() {
  auto& streams = shard_->streams();
  if (streams.size() != stream_sockets_.size()) throw Violation("there are more streams than sockets, or fewer");
  std::size_t open = 0;
  const auto& upstreams = shard_->multiplexer().upstreams();
  for (std::uint32_t i = 0; i < upstreams.size(); ++i) {
    const auto count = streams.counts(i).open;
    open += count;
    if (count > upstreams[i]->settings->streams.open_max) throw Violation("an upstream has too many streams");
    if (engine::mux::Leases::count(*upstreams[i]) > count) throw Violation("a lease has no stream");
  }
  if (open != streams.size()) throw Violation("streams are miscounted");
  if (!is_fast_asleep()) return;
  for (const auto& upstream : upstreams) check_waiting(*upstream);
  for_each_leased([&](const engine::mux::Upstream&, const SessionView& view) { context_.leases.check_held(view); });
}

// Whose group has less than its part does not wait while a session is free.
void EngineProcess::check_waiting(const engine::mux::Upstream& upstream) {
  // One that has lain for too long is nobody's, even where it stays: on trial for a better endpoint.
  const auto is_free = [&](const auto* session) {
    const auto end_ns = engine::mux::idle_end_ns(upstream, *session);
    return engine::mux::is_free(*session) && (!end_ns || *end_ns > context_.now_ns);
  };
  if (upstream.lease_queue.empty() || std::ranges::none_of(upstream.sessions, is_free)) return;
  std::map<std::uint32_t, std::size_t> held;
  for (const auto* session : upstream.sessions) {
    const auto stream = session->is_leased() ? stream_sockets_.number_of(*session->lease.holder) : 0;
    if (stream != 0) ++held[context_.streams.group_of(stream)];
  }
  const auto groups = upstream.settings->groups.size();
  const auto part = config::sessions_max(*upstream.settings) / (2 * groups);
  std::vector<bool> seen(upstream.groups_counters.size());
  while (const auto* waiting = upstream.lease_queue.front(seen)) {
    if (groups == 1 || held[waiting->group] < part) throw Violation("a stream waits although a session is free");
    seen[waiting->group] = true;
  }
  context_.note(Seen::session_kept_for_others);
}

void EngineProcess::check_all_given_back() const {
  if (network_.is_any_open()) throw Violation("the engine has stopped with a connection open");
  if (stream_sockets_.size() > 0) throw Violation("the engine has stopped with a stream's socket open");
  if (!has_clients() && bells_.is_any_watched()) throw Violation("the engine has stopped and still watches a doorbell");
}

bool EngineProcess::has_no_streams() {
  const auto has_leases = [](const auto& upstream) { return engine::mux::Leases::count(*upstream) != 0; };
  return shard_->streams().size() == 0 && std::ranges::none_of(shard_->multiplexer().upstreams(), has_leases);
}

}  // namespace tlsmux::simulation
