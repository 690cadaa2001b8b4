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
  for (const auto& upstream : multiplexer.upstreams()) {
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
    const auto moved_max = upstream->sessions.size() * upstream->settings->in_flight_max;
    if (upstream->queue.size() > upstream->settings->queue_max + moved_max) throw Violation("a queue is too long");
    held += in_flight + upstream->queue.size();
  }
  if (held != multiplexer.requests_held()) throw Violation("a request is in no list, or in two");
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
