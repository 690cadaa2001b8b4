#pragma once

// An engine with the ports of three groups, and processes that have nearly all of them and of a range that is nobody's.

#include <optional>
#include <string>
#include <vector>

#include "bench/ports/forked.hpp"
#include "bench/ports/port_socket.hpp"
#include "bench/process/child_process.hpp"
#include "bench/systems/system.hpp"

namespace tlsmux::bench {

// In the network namespace of the thread that makes it, where all of its ports must be free.
class PortLab {
 public:
  // With one port left nobody gets leases. This many are left where there are to be some: a process gets all of its leases,
  // and again while what it has just given back is not known to be free yet.
  static constexpr int kLeftWithLeases = 40;

  // Throws std::runtime_error.
  explicit PortLab(const Ground& ground);

  [[nodiscard]] const std::string& control_socket() const { return control_socket_; }
  // All but kLeftWithLeases are taken.
  [[nodiscard]] std::string leasing_group() const { return group_ + "-leases"; }
  // No leases; all but one are taken.
  [[nodiscard]] std::string asking_group() const { return group_ + "-asks"; }
  // Many leases; none is taken.
  [[nodiscard]] std::string free_group() const { return group_ + "-free"; }
  // Nobody's; all but the last one are taken.
  [[nodiscard]] static Thousand ungrouped();
  // Nobody's, and free.
  [[nodiscard]] static std::uint16_t free_port();

 private:
  void start_engine(const Ground& ground);
  void take(const std::string& group, int count);

  std::string group_;
  std::string folder_;
  std::string control_socket_;
  std::optional<ChildProcess> engine_;
  std::vector<Keeper> keepers_;
};

}  // namespace tlsmux::bench
