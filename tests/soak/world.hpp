#pragma once

// What is soaked: a tlsmuxd as it runs in production, hosts of several kinds, clients that come and go, residents.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "tests/soak/board.hpp"
#include "tests/soak/quiet_point.hpp"
#include "tests/soak/resident.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/load_crowd.hpp"
#include "tests/system/residue.hpp"
#include "tests/system/returning_host.hpp"

namespace tlsmux::soak {

class World {
  test::Residue residue_;

 public:
  // Everything runs; the residents rest.
  explicit World(std::uint64_t seed, const test::EngineLaunch& launch = {});
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Clients come, residents work.
  void begin_phase();
  // All clients end, all residents rest. Returns when no request is under way. Fails the test if somebody saw what must not
  // be. What became of all requests of the phase.
  std::vector<test::LedgerEntry> end_phase();
  // Residents, engine and hosts end.
  void stop();

  // The engine changes over to a configuration that differs in something, or reads its certificates again.
  void refresh_settings();
  void add_or_remove_upstream();
  void rotate_certificate();
  void drain_and_resume();

  test::EngineProcess& engine() { return *engine_; }
  test::LoadCrowd& clients() { return clients_; }
  std::vector<std::unique_ptr<test::ReturningHost>>& hosts() { return hosts_; }
  std::vector<std::unique_ptr<ResidentProcess>>& residents() { return residents_; }
  Board& board() { return board_; }
  [[nodiscard]] const config::Config& config() const { return config_; }
  [[nodiscard]] std::vector<std::string> records() const;
  // Everybody, while the residents rest.
  [[nodiscard]] Watched watched() const;

 private:
  void start_hosts();
  void add_host(const std::string& name, std::vector<std::string> arguments);
  void make_config();
  void make_upstreams();
  void start_residents();
  void add_resident(Trade trade, std::size_t group, const std::string& upstream);
  [[nodiscard]] test::LoadOrder make_order(std::uint32_t client) const;
  void write_certificate(const std::string& name) const;
  void refresh(const std::string& what);

  std::uint64_t seed_;
  test::TemporaryFolder folder_;
  Board board_;
  std::vector<std::unique_ptr<test::ReturningHost>> hosts_;
  config::Config config_;
  std::unique_ptr<test::EngineProcess> engine_;
  test::LoadCrowd clients_;
  std::vector<std::unique_ptr<ResidentProcess>> residents_;
  bool has_first_certificate_ = true;
  pid_t engine_of_spares_ = -1;
  int spares_added_ = 0;  // in its life
};

}  // namespace tlsmux::soak
