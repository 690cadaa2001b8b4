#include "tests/simulation/world.hpp"

#include <algorithm>

#include "tests/simulation/scenario.hpp"

namespace tlsmux::simulation {
namespace {

constexpr std::uint64_t kStepsToRestMax = 200'000;

config::Config scenario_of(std::uint64_t seed) {
  Random random(seed);
  return make_scenario(random);
}

}  // namespace

void Statistics::add(const Statistics& other) {
  runs += other.runs;
  steps += other.steps;
  requests += other.requests;
  engines += other.engines;
  clients += other.clients;
  late += other.late;
  unsolicited += other.unsolicited;
  orphans += other.orphans;
  for (std::size_t i = 0; i < told.size(); ++i) told[i] += other.told[i];
  for (std::size_t i = 0; i < reasons.size(); ++i) reasons[i] += other.reasons[i];
}

World::World(std::uint64_t seed, bool is_traced) : context_(seed, scenario_of(seed)), network_(context_) {
  context_.is_traced = is_traced;
  context_.while_engine_works = [this] { step_client(); };
}

Statistics World::run() {
  run_faults();
  run_calm();
  probe();
  shut_down();
  context_.ledger.check_all_ended();
  statistics_.runs = 1;
  statistics_.requests = context_.ledger.size();
  statistics_.told = context_.ledger.told();
  statistics_.reasons = context_.ledger.reasons();
  statistics_.late = context_.ledger.late_count();
  statistics_.unsolicited = context_.unsolicited_heard;
  statistics_.orphans = context_.ledger.orphan_count();
  return statistics_;
}

// ---- The acts of the play ----

void World::run_faults() {
  context_.faults = Faults::some(context_.random);
  counters_comparable_ = context_.faults.client_leaves == 0;
  const auto clients = context_.random.between(1, 4);
  for (std::size_t i = 0; i < clients; ++i) clients_.push_back(nullptr);
  for (auto steps = context_.random.between(100, 800); steps > 0; --steps) {
    fail_engine();
    fail_endpoint();
    for (auto& client : clients_) {
      if (client != nullptr && !client->is_dead()) continue;
      if (client != nullptr) counters_comparable_ = false;
      const auto group = context_.random.below(context_.config.groups.size());
      client = std::make_unique<ClientProcess>(context_, ++last_client_, static_cast<std::uint32_t>(group));
      ++statistics_.clients;
    }
    step();
  }
}

void World::run_calm() {
  context_.trace("from here on all is well");
  context_.faults = {};
  context_.ports_down.clear();
  for (std::size_t i = 0; i < context_.config.upstreams.size(); ++i) {
    if (engine_ != nullptr && engine_->multiplexer().upstreams()[i]->draining) drain_or_resume(i);
  }
  for (auto& client : clients_) client->kill_if_mad();
  for (int i = 0; i < 100; ++i) step();
  for (auto& client : clients_) client->set_conduct({.submits = false});
  run_until([this] { return is_at_rest(); }, "all requests to end");
}

// What must succeed, now that all is well.
void World::probe() {
  const auto all_up = [this] {
    return is_at_rest() && std::ranges::all_of(engine_->multiplexer().upstreams(), [](const auto& upstream) {
             const auto up = std::ranges::count_if(upstream->sessions, &engine::mux::Session::is_up);
             return up >= upstream->settings->sessions;
           });
  };
  run_until(all_up, "all sessions to come up");
  for (auto& client : clients_) {
    for (std::size_t channel = 0; channel < client->channel_count(); ++channel) {
      client->probe(channel);
      run_until([this] { return is_at_rest(); }, "the answers to the probes");
    }
  }
}

void World::shut_down() {
  check_counters();
  for (auto& client : clients_) {
    client->set_conduct({.submits = false, .attaches = false});
    client->leave();
  }
  run_until([this] { return !engine_->has_clients(); }, "the engine to release its clients");
  give_orphans_away();
  auto* const last = engine_.get();
  engine_->drain(1000);
  const auto stopped = [&] { return engine_.get() != last; };
  run_until(stopped, "the engine to stop");
}

// Whatever died with requests open: a subscriber that comes at last gets all of it.
void World::give_orphans_away() {
  const auto& config = context_.config;
  for (std::uint32_t upstream = 0; upstream < config.upstreams.size(); ++upstream) {
    for (std::uint32_t group = 0; group < config.groups.size(); ++group) {
      const bool can_lend = config.groups[group].memory.slots_per_channel >= 4;
      if (can_lend) give_orphans_away({.group = group, .upstream = upstream});
    }
  }
}

void World::give_orphans_away(engine::Lane lane) {
  if (engine_->orphans(lane).dropped > 0) return;
  clients_.clear();
  auto& heir = *clients_.emplace_back(std::make_unique<ClientProcess>(context_, ++last_client_, lane.group));
  heir.inherit(lane.upstream);
  heir.set_conduct({.submits = false});
  const auto all_given = [&] {
    return heir.channel_count() > 0 && engine_->orphans(lane).waiting == 0 && engine_->is_fast_asleep() &&
           heir.has_read_all();
  };
  run_until(all_given, "the orphans to be taken");
  context_.ledger.check_orphans_given(engine_->number(), lane.group, lane.upstream);
  heir.set_conduct({.submits = false, .attaches = false});
  heir.leave();
  run_until([this] { return !engine_->has_clients(); }, "the engine to release the heir");
}

bool World::is_at_rest() {
  const bool all_idle = std::ranges::all_of(clients_, [](const auto& client) { return client->is_idle(); });
  return engine_ != nullptr && all_idle && context_.ledger.open_count() == 0 &&
         engine_->multiplexer().requests_held() == 0 && engine_->is_fast_asleep();
}

template <typename Condition>
void World::run_until(Condition condition, const char* what) {
  for (std::uint64_t steps = 0; !condition(); ++steps) {
    if (steps > kStepsToRestMax) throw Violation(std::string("it takes forever for ") + what);
    if (!step() && !condition()) throw Violation(std::string("nothing happens any more, waiting for ") + what);
  }
}

// ---- Steps ----

bool World::step() {
  ++statistics_.steps;
  let_time_pass();
  const bool any = step_anywhere() || wait();
  check_wakes();
  check_queues();
  return any;
}

void World::let_time_pass() {
  auto& random = context_.random;
  // Where all is well, nobody is held up for long while there is something to do.
  const auto pace = context_.faults.none() ? 19 : random.below(20);
  std::uint64_t most_ns = 5'000;
  if (pace == 0) most_ns = 10'000'000;
  if (pace >= 1 && pace <= 4) most_ns = 500'000;
  context_.now_ns += random.below(most_ns);
}

bool World::step_anywhere() {
  // What has its turn acts, or else the next in the row.
  constexpr std::size_t kActors = 5;
  constexpr std::array<std::uint8_t, 16> kTurns{0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 3, 3, 3, 3, 4};
  const auto first = kTurns[context_.random.below(kTurns.size())];
  for (std::size_t i = 0; i < kActors; ++i) {
    bool any = false;
    switch ((first + i) % kActors) {
      case 0: any = step_engine(); break;
      case 1: any = network_.step(); break;
      case 2: any = engine_ != nullptr && engine_->step(); break;
      case 3: any = step_client(); break;
      case 4: any = start_engine(); break;
    }
    if (any) return true;
  }
  return false;
}

bool World::start_engine() {
  if (engine_ != nullptr) return false;
  ++statistics_.engines;
  engine_ = std::make_unique<EngineProcess>(context_, network_);
  try {
    engine_->start();
  } catch (const EngineKilled&) {
    lose_engine();
  }
  return true;
}

bool World::step_engine() {
  if (engine_ == nullptr || !engine_->wants_turn()) return false;
  try {
    engine_->turn();
  } catch (const EngineKilled&) {
    lose_engine();
    return true;
  }
  if (engine_->is_stopped()) lose_engine();
  return true;
}

bool World::step_client() {
  if (clients_.empty()) return false;
  const auto first = context_.random.below(clients_.size());
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    auto& client = clients_[(first + i) % clients_.size()];
    if (client != nullptr && client->step(engine_.get())) return true;
  }
  return false;
}

void World::fail_engine() {
  if (engine_ == nullptr) return;
  if (context_.random.chance(context_.faults.engine_dies)) return lose_engine();
  if (context_.random.chance(context_.faults.engine_drains)) {
    engine_->drain(static_cast<std::uint32_t>(context_.random.below(50)));
  }
}

void World::fail_endpoint() {
  auto& random = context_.random;
  const auto upstream = random.below(context_.config.upstreams.size());
  if (engine_ != nullptr && random.chance(context_.faults.upstream_drains)) drain_or_resume(upstream);
  if (engine_ != nullptr && random.chance(context_.faults.refresh)) refresh(static_cast<std::uint32_t>(upstream));
  if (!random.chance(context_.faults.endpoint_goes)) return;
  const auto port = random.pick(context_.config.upstreams[upstream].endpoints).port;
  if (context_.ports_down.erase(port) == 0) context_.ports_down.insert(port);
}

void World::refresh(std::uint32_t upstream) {
  context_.trace("the settings of upstream " + std::to_string(upstream) + " change");
  const auto& present = *engine_->multiplexer().upstreams()[upstream]->settings;
  const auto settings = make_change(context_.random, context_.config.upstreams[upstream], present);
  using Kind = engine::ApplyConfig::Kind;
  const auto kind = context_.random.below(4) == 0 ? Kind::restarted : Kind::changed;
  engine_->refresh(upstream, settings, kind, context_.random.below(2) == 0);
}

void World::drain_or_resume(std::size_t upstream) {
  auto& multiplexer = engine_->multiplexer();
  const bool drains = multiplexer.upstreams()[upstream]->draining;
  context_.trace("upstream " + std::to_string(upstream) + (drains ? " is resumed" : " is drained"));
  try {
    drains ? multiplexer.resume_upstream(upstream) : multiplexer.drain_upstream(upstream);
  } catch (const EngineKilled&) {
    lose_engine();
  }
}

void World::lose_engine() {
  context_.trace("the engine is gone");
  counters_comparable_ = false;
  for (auto& client : clients_) {
    if (client != nullptr) client->engine_died();
  }
  engine_->die();
  engine_.reset();
}

// Nobody can do anything now: time passes until somebody can.
bool World::wait() {
  std::uint64_t next = 0;
  const auto consider = [&](std::uint64_t due) {
    if (due != 0 && (next == 0 || due < next)) next = due;
  };
  if (engine_ != nullptr) consider(engine_->next_due_ns());
  for (const auto& client : clients_) {
    if (client != nullptr) consider(client->next_due_ns());
  }
  if (next <= context_.now_ns) return false;
  context_.now_ns = next;
  return true;
}

// ---- Checks ----

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
