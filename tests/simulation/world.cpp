#include "tests/simulation/world.hpp"

#include <algorithm>

#include "config/leases.hpp"
#include "tests/simulation/real_host.hpp"
#include "tests/simulation/scenario.hpp"

namespace tlsmux::simulation {
namespace {

constexpr std::uint64_t kStepsToRestMax = 200'000;
constexpr std::uint64_t kBackoffNsMax = 100'000'000;
constexpr std::uint64_t kLeapNsMax = 24ULL * 3600 * 1'000'000'000;

config::Config scenario_of(std::uint64_t seed) {
  Random random(seed);
  return make_scenario(random);
}

// SplitMix64's finish.
bool has_real_tls(std::uint64_t seed, std::uint64_t worlds_per_real_one) {
  auto hash = seed + 0x9e3779b97f4a7c15;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
  hash ^= hash >> 31;
  return worlds_per_real_one != 0 && hash % worlds_per_real_one == 0;
}

}  // namespace

void Statistics::add(const Statistics& other) {
  runs += other.runs;
  runs_with_real_tls += other.runs_with_real_tls;
  last_draw += other.last_draw;
  steps += other.steps;
  requests += other.requests;
  engines += other.engines;
  clients += other.clients;
  sightings.add(other.sightings);
  streams.add(other.streams);
  for (std::size_t i = 0; i < told.size(); ++i) told[i] += other.told[i];
  for (std::size_t i = 0; i < reasons.size(); ++i) reasons[i] += other.reasons[i];
}

World::World(std::uint64_t seed, bool is_traced, std::uint64_t worlds_per_real_one)
    : context_(seed, scenario_of(seed)), network_(context_) {
  context_.is_traced = is_traced;
  if (has_real_tls(seed, worlds_per_real_one)) begin_real_tls();
  context_.while_engine_works = [this] { step_client(); };
  context_.has_streams = context_.random.below(2) == 0;
  const auto& upstreams = context_.config.upstreams;
  for (std::uint32_t i = 0; i < upstreams.size(); ++i) {
    context_.ledger.late_answers_within(i, upstreams[i].timeouts.late_answer_ms);
    if (config::leases_sessions(upstreams[i]) || context_.random.below(3) != 0) continue;
    (context_.in_order(i) ? context_.fickle : context_.changing_keys).insert(i);
  }
}

// There are few such worlds, so each is made to last. A handshake takes more turns than that of PlainTls.
void World::begin_real_tls() {
  context_.real_hosts = std::make_shared<RealHosts>(context_);
  for (auto& upstream : context_.config.upstreams) upstream.timeouts.handshake_ms *= 4;
  length_ = 2;
}

Statistics World::run() {
  run_faults();
  run_calm();
  probe();
  shut_down();
  context_.ledger.check_all_ended();
  statistics_.runs = 1;
  statistics_.runs_with_real_tls = context_.real_hosts != nullptr ? 1 : 0;
  statistics_.last_draw = context_.random.next();
  statistics_.requests = context_.ledger.size();
  statistics_.told = context_.ledger.told();
  statistics_.reasons = context_.ledger.reasons();
  statistics_.sightings = context_.sightings;
  statistics_.streams = context_.streams.statistics();
  return statistics_;
}

// ---- The acts of the play ----

void World::run_faults() {
  context_.faults = Faults::some(context_.random, context_.real_hosts != nullptr);
  counters_comparable_ = context_.faults[Fault::client_leaves] == 0 && !context_.has_streams;
  const auto clients = context_.random.between(1, 4);
  for (std::size_t i = 0; i < clients; ++i) clients_.push_back(nullptr);
  const auto stream_processes = context_.has_streams ? context_.random.between(1, 3) : 0;
  for (std::size_t i = 0; i < stream_processes; ++i) stream_processes_.push_back(nullptr);
  for (auto steps = length_ * context_.random.between(100, 800); steps > 0; --steps) {
    fail_engine();
    fail_endpoint();
    for (auto& client : clients_) {
      if (client != nullptr && !client->is_dead()) continue;
      if (client != nullptr) counters_comparable_ = false;
      const auto group = context_.random.below(context_.config.groups.size());
      client = std::make_unique<ClientProcess>(context_, ++last_client_, static_cast<std::uint32_t>(group));
      ++statistics_.clients;
    }
    revive_stream_processes();
    step();
  }
}

void World::run_calm() {
  context_.trace("from here on all is well");
  context_.faults = {};
  context_.ports_down.clear();
  for (std::uint32_t i = 0; i < context_.config.upstreams.size(); ++i) {
    if (engine_ != nullptr && engine_->is_drained(i)) drain_or_resume(i);
  }
  restore_settings();
  for (auto& client : clients_) client->kill_if_mad();
  revive_stream_processes();
  for (int i = 0; i < 100; ++i) step();
  for (auto& client : clients_) client->set_conduct({.submits = false});
  for (auto& process : stream_processes_) process->finish();
  run_until([this] { return is_at_rest(); }, "all requests to end");
}

// What must succeed, now that all is well.
void World::probe() {
  run_until([this] { return all_are_up() && engine_->has_no_streams(); }, "all sessions to come up");
  for (auto& client : clients_) {
    for (std::size_t channel = 0; channel < client->channel_count(); ++channel) {
      if (engine_->is_removed(client->upstream_of(channel)) || engine_->is_group_removed(client->group())) continue;
      client->probe(channel);
      run_until([this] { return is_at_rest(); }, "the answers to the probes");
    }
  }
  probe_streams();
}

// One that starts anew drains first, by the settings that it had.
bool World::all_are_up() {
  return is_at_rest() && std::ranges::all_of(engine_->multiplexer().upstreams(), [](const auto& upstream) {
           const auto up = std::ranges::count_if(upstream->sessions, &engine::mux::Session::is_up);
           return upstream->removed || (!upstream->draining && up >= upstream->settings->sessions);
         });
}

bool World::is_any_coming_up() {
  using enum shm::SessionState;
  const auto is_coming_up = [](const engine::mux::Session* session) {
    return session->state == resolving || session->state == connecting || session->state == handshaking;
  };
  return std::ranges::any_of(engine_->multiplexer().upstreams(),
                             [&](const auto& each) { return std::ranges::any_of(each->sessions, is_coming_up); });
}

// Where no session is kept up, attempts may still fail that began before, and the endpoint is left alone for a while. The
// time that passes is none that an attempt would need.
void World::let_endpoints_recover() {
  for (int i = 0; i < 2; ++i) {
    run_until([this] { return all_are_up() && !is_any_coming_up(); }, "sessions to recover");
    context_.now_ns += kBackoffNsMax;
  }
  run_until([this] { return all_are_up() && !is_any_coming_up(); }, "sessions to recover");
}

// Twice to each, so that the second finds what the first has left. Where hosts have lied, or have heard half a message,
// nobody knows what comes of it.
void World::probe_streams() {
  for (auto& process : stream_processes_) {
    if (engine_->is_group_removed(process->group())) continue;
    for (std::uint32_t upstream = 0; upstream < context_.config.upstreams.size(); ++upstream) {
      const bool is_known = !context_.leases.has_lied(upstream) && !context_.ledger.has_lied(upstream);
      for (int i = 0; i < 2 && is_known && !engine_->is_removed(upstream); ++i) {
        let_endpoints_recover();
        process->probe(*engine_, upstream);
        run_until([this] { return is_at_rest() && engine_->has_no_streams(); }, "a stream's answers");
      }
    }
  }
}

void World::shut_down() {
  check_counters();
  check_keys();
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
      if (config::leases_sessions(config.upstreams[upstream])) continue;  // nobody has died there with a request
      // Nobody can subscribe any more.
      if (engine_->is_removed(upstream) || engine_->is_group_removed(group)) continue;
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
  const bool no_streams =
      std::ranges::all_of(stream_processes_, [](const auto& process) { return process->is_idle(); });
  return engine_ != nullptr && all_idle && no_streams && context_.ledger.open_count() == 0 &&
         engine_->multiplexer().requests_held() == 0 && engine_->has_answered_drains() && engine_->is_fast_asleep();
}

void World::wait_for_orders() {
  run_until([this] { return engine_ == nullptr || engine_->takes_orders(); }, "settings to be applied");
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
  if (engine_ != nullptr) engine_->check_streams();
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
  if (!context_.strikes(Fault::clock_leaps)) return;
  context_.trace("the clock leaps");
  context_.now_ns += random.between(1, kLeapNsMax);
  if (engine_ != nullptr) engine_->note_leap();
}

bool World::step_anywhere() {
  // What has its turn acts, or else the next in the row.
  constexpr std::size_t kActors = 6;
  constexpr std::array<std::uint8_t, 18> kTurns{0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 3, 3, 3, 3, 4, 5, 5};
  const auto first = kTurns[context_.random.below(kTurns.size())];
  for (std::size_t i = 0; i < kActors; ++i) {
    bool any = false;
    switch ((first + i) % kActors) {
      case 0: any = step_engine(); break;
      case 1: any = network_.step(); break;
      case 2: any = engine_ != nullptr && engine_->step(); break;
      case 3: any = step_client(); break;
      case 4: any = start_engine(); break;
      default: any = step_stream_process(); break;
    }
    if (any) return true;
  }
  return false;
}

bool World::start_engine() {
  if (engine_ != nullptr) return false;
  ++statistics_.engines;
  if (context_.last_engine > 0) context_.note(Seen::engine_restarted);
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
  if (engine_->is_stopped()) {
    context_.note(Seen::engine_stopped);
    // One that was late closes nothing any more: the kernel does.
    if (context_.faults.none() && engine_->had_time_to_stop()) engine_->check_all_given_back();
    lose_engine();
  }
  return true;
}

bool World::step_stream_process() {
  if (stream_processes_.empty()) return false;
  const auto first = context_.random.below(stream_processes_.size());
  for (std::size_t i = 0; i < stream_processes_.size(); ++i) {
    auto& process = stream_processes_[(first + i) % stream_processes_.size()];
    if (process != nullptr && process->step(engine_.get())) return true;
  }
  return false;
}

void World::revive_stream_processes() {
  for (auto& process : stream_processes_) {
    if (process != nullptr && !process->is_dead()) continue;
    const auto group = static_cast<std::uint32_t>(context_.random.below(context_.config.groups.size()));
    process = std::make_unique<StreamProcess>(context_, ++last_client_, group);
  }
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
  if (context_.strikes(Fault::engine_dies)) return lose_engine();
  if (context_.strikes(Fault::engine_drains)) {
    engine_->drain(static_cast<std::uint32_t>(context_.random.below(50)));
  }
}

void World::fail_endpoint() {
  auto& random = context_.random;
  const auto upstream = static_cast<std::uint32_t>(random.below(context_.config.upstreams.size()));
  if (engine_ != nullptr) give_order(upstream);
  if (!context_.strikes(Fault::endpoint_goes)) return;
  const auto port = random.pick(context_.config.upstreams[upstream].endpoints).port;
  if (context_.ports_down.erase(port) == 0) context_.ports_down.insert(port);
}

void World::lose_engine() {
  context_.trace("the engine is gone");
  counters_comparable_ = false;
  for (auto& client : clients_) {
    if (client != nullptr) client->engine_died();
  }
  for (auto& process : stream_processes_) {
    if (process != nullptr) process->engine_died();
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
  for (const auto& process : stream_processes_) {
    if (process != nullptr) consider(process->next_due_ns());
  }
  // Somebody may have become due since everybody was asked.
  context_.now_ns = std::max(context_.now_ns, next);
  // Who mourns an engine notices its end sooner or later.
  return next != 0 ||
         std::ranges::any_of(clients_, [](const auto& client) { return client != nullptr && client->mourns(); });
}

}  // namespace tlsmux::simulation
