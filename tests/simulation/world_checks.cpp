// What holds after every step, and in the end.

#include <algorithm>

#include "tests/simulation/world.hpp"

namespace tlsmux::simulation {

void World::check_wakes() {
  if (engine_ == nullptr || !engine_->is_fast_asleep()) return;
  for (const auto& client : clients_) {
    if (client != nullptr) client->check_nothing_is_slept_over();
  }
}

void World::check_queues() {
  if (engine_ == nullptr) return;
  auto& multiplexer = engine_->multiplexer();
  std::size_t held = 0;
  const auto& upstreams = multiplexer.upstreams();
  for (std::uint32_t i = 0; i < upstreams.size(); ++i) {
    const auto& upstream = upstreams[i];
    std::size_t in_flight = 0;
    for (const auto* each : upstream->sessions) {
      const auto& session = *each;
      if (session.in_flight.size() > upstream->settings->in_flight_max)
        throw Violation("a session has too many requests");
      in_flight += session.in_flight.size();
      held += session.replies.size() + session.replies_in_flight.size();
    }
    const auto starting = std::ranges::count_if(upstream->sessions, &engine::mux::Session::is_starting);
    if (starting > upstream->settings->handshakes_max) throw Violation("too many sessions come up at one time");
    if (in_flight != upstream->in_flight) throw Violation("an upstream miscounts what is in flight");
    if (upstream->queue.size() > upstream->settings->queue_max) check_new_requests(i);
    held += in_flight + upstream->queue.size();
    if (upstream->queue.empty()) continue;
    const auto& first = multiplexer.requests()[upstream->queue.front()];
    if (first.state == engine::mux::RequestState::requeued) context_.note(Seen::request_moved);
  }
  if (held != multiplexer.requests_held()) throw Violation("a request is in no list, or in two");
}

// Beyond its bound a queue has only what comes back from sessions that are lost.
void World::check_new_requests(std::uint32_t upstream) {
  const auto& multiplexer = engine_->multiplexer();
  const auto& requests = multiplexer.requests();
  const auto& settings = *multiplexer.upstreams()[upstream]->settings;
  std::size_t queued = 0;
  std::size_t requeued = 0;
  for (engine::mux::RequestIndex i = 0; i < requests.capacity(); ++i) {
    if (requests[i].upstream != upstream || requests[i].kind != engine::mux::RequestKind::request) continue;
    if (requests[i].state == engine::mux::RequestState::queued) ++queued;
    if (requests[i].state == engine::mux::RequestState::requeued) ++requeued;
  }
  const auto moved_max = multiplexer.upstreams()[upstream]->sessions.size() * settings.in_flight_max;
  if (queued > settings.queue_max || requeued > moved_max) throw Violation("a queue is too long");
}

// At rest: no request is held, so none holds its key.
void World::check_keys() {
  const auto& ledger = context_.ledger;
  for (std::uint64_t number = 1; number <= ledger.size(); ++number) {
    const auto& entry = ledger.entry(number);
    const auto& upstream = *engine_->multiplexer().upstreams()[entry.upstream];
    if (upstream.correlation.in_order()) continue;
    const auto key = upstream.correlation.request_key(ledger.text(number));
    if (key && upstream.keys.find(*key) != engine::mux::kNone) {
      throw Violation("the key of request " + std::to_string(number) + " is taken, and the request is over");
    }
  }
}

// Only where each request was ended by the engine or by a caller that the engine could ask.
void World::check_counters() {
  const bool any_dead = std::ranges::any_of(clients_, [](const auto& client) { return client->is_dead(); });
  if (!counters_comparable_ || any_dead || context_.ledger.has_distrusted()) return;
  const auto counted = engine_->counted();
  const auto& told = context_.ledger.told();
  for (std::size_t outcome = 1; outcome < told.size(); ++outcome) {
    if (counted[outcome] == told[outcome]) continue;
    throw Violation("the engine counts " + std::to_string(counted[outcome]) + " requests that ended as " +
                    std::string(shm::outcome_name(static_cast<shm::Outcome>(outcome))) + ", their callers " +
                    std::to_string(told[outcome]));
  }
}

}  // namespace tlsmux::simulation
