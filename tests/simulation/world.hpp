#pragma once

// One run: an engine that may die and come again, clients, hosts, the network between them, and the order in which they
// act, all out of one seed. First everything may go wrong, then nothing more does, and all must come to rest.

#include <cstdint>
#include <memory>
#include <vector>

#include "tests/simulation/client_process.hpp"
#include "tests/simulation/context.hpp"
#include "tests/simulation/engine_process.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/stream_process.hpp"

namespace tlsmux::simulation {

// What a run saw, to show that the runs together see everything.
struct Statistics {
  std::uint64_t runs = 0;
  std::uint64_t runs_with_real_tls = 0;
  std::uint64_t steps = 0;
  std::uint64_t requests = 0;
  std::uint64_t engines = 0;
  std::uint64_t clients = 0;
  std::array<std::uint64_t, 4> told{};  // by outcome
  std::array<std::uint64_t, shm::kReasonCount> reasons{};
  Sightings sightings;
  StreamStatistics streams;

  std::uint64_t last_draw = 0;  // of chance: differs if anything has gone another way

  void add(const Statistics& other);
  friend bool operator==(const Statistics&, const Statistics&) = default;
};

// A handshake of real TLS costs as much time as a world without.
inline constexpr std::uint64_t kWorldsPerRealOne = 150;

class World {
 public:
  // One world in so many has real TLS: which ones follows from the seed, and no chance of the world's is drawn for it.
  // 0: none has.
  World(std::uint64_t seed, bool is_traced, std::uint64_t worlds_per_real_one = kWorldsPerRealOne);

  // Throws Violation at the step at which the product breaks a promise.
  Statistics run();

 private:
  void begin_real_tls();
  void run_faults();
  void run_calm();
  void probe();
  void probe_streams();
  void restore_settings();
  void wait_for_orders();
  void restore(std::uint32_t upstream);
  bool is_any_coming_up();
  void let_endpoints_recover();
  void shut_down();
  void give_orphans_away();
  void give_orphans_away(engine::Lane lane);

  // One thing happens somewhere. When nothing can, time goes on to when something does; false if nothing ever will.
  bool step();
  void let_time_pass();
  bool step_anywhere();
  bool start_engine();
  bool step_engine();
  bool step_client();
  bool step_stream_process();
  void revive_stream_processes();
  void remove_upstream(std::uint32_t upstream);
  void fail_engine();
  void fail_endpoint();
  void give_order(std::uint32_t upstream);
  void drain_or_resume(std::uint32_t upstream);
  void refresh(std::uint32_t upstream);
  void lose_engine();
  bool wait();
  void check_wakes();
  void check_queues();
  void check_new_requests(std::uint32_t upstream);
  void check_keys();
  // Until it holds. Throws Violation when it takes too long.
  template <typename Condition>
  void run_until(Condition condition, const char* what);
  [[nodiscard]] bool is_at_rest();
  [[nodiscard]] bool all_are_up();
  void check_counters();

  Context context_;
  Network network_;
  std::unique_ptr<EngineProcess> engine_;
  std::vector<std::unique_ptr<ClientProcess>> clients_;
  std::vector<std::unique_ptr<StreamProcess>> stream_processes_;
  std::uint32_t last_client_ = 0;
  std::uint64_t length_ = 1;  // times as many steps
  Statistics statistics_;
  bool counters_comparable_ = true;  // nobody died or left, no engine was lost: what it counts is what clients saw
};

}  // namespace tlsmux::simulation
