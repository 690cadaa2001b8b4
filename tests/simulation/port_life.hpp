#pragma once

// The ports of one group in a world of chance: the engine's desk for ports as it is, on the tests' kernel, with processes
// that claim, take leases, bind, fork, die or scribble, strangers that bind without asking, and engines that die. All out
// of one seed.

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/engine/port_desk_room.hpp"
#include "tests/simulation/ledger.hpp"
#include "tests/simulation/random.hpp"

namespace tlsmux::simulation {

class PortLife {
 public:
  enum class Act : std::uint8_t {
    attach,
    claim,
    claim_number,
    take_lease,
    bind,
    close,
    release,
    release_foreign,
    doubt,
    fork,
    die,
    tell_death,
    squat,
    leave_squat,
    scribble,
    kernel_mutes,
    engine_dies,
    pass_time,
  };
  static constexpr std::size_t kActs = 18;
  using Counts = std::array<std::uint64_t, kActs>;

  explicit PortLife(std::uint64_t seed);

  // Throws Violation when
  //  - a port comes to a process while another that lives has it, or has a socket on it that was bound by right
  //  - a port that a living process was granted is not shown as its own
  //  - a port that everybody who could have it has released stays taken
  //  - a process that has done nothing wrong is found to have
  //  - after everybody's death and some time not all ports are free
  Counts run();

 private:
  struct Process {
    test::DeskRoom::Client client;
    std::set<std::uint16_t> claims;                  // granted, and not given up
    std::map<std::uint16_t, std::uint64_t> sockets;  // inodes
    bool is_mad = false;
    bool is_child = false;  // attached to nothing
  };

  bool act(Act what);
  bool attach();
  bool claim(std::uint16_t number);
  bool take_lease();
  bool bind();
  bool close();
  bool release();
  bool release_foreign();
  bool doubt();
  bool fork();
  bool die();
  bool tell_death();
  bool squat();
  bool leave_squat();
  bool scribble();
  bool lose_engine();
  void reattach(Process& process);
  void end();
  void release_all();

  // Null: there is none.
  Process* some(bool is_child = false);
  void bind(Process& process, std::uint16_t port);
  void granted(Process& process, std::uint16_t port);
  void settle();
  void check_rows() const;

  Random random_;
  test::FakePortWorld world_;
  config::GroupSettings settings_;
  // The last two engines: a client goes on with a dead one's memory for a while.
  std::unique_ptr<test::DeskRoom> before_;
  std::unique_ptr<test::DeskRoom> room_;
  std::vector<Process> processes_;
  std::vector<test::DeskRoom::Client> untold_;     // dead, as the engine does not know
  std::map<std::uint16_t, std::uint64_t> squats_;  // a stranger's sockets
  std::uint32_t last_pid_ = 20'000;
  Counts done_{};
};

}  // namespace tlsmux::simulation
