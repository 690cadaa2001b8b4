#pragma once

// A place for guards of a test's own: a network namespace, a bpffs that only this process sees, and two cgroups, one in
// the other. All of it goes with the object, or with the process.

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "ports/guard.hpp"
#include "tests/ports/sockets.hpp"
#include "tests/support/network_namespace.hpp"
#include "tests/support/temporary_folder.hpp"

namespace tlsmux::test {

inline constexpr uid_t kMember = 1701;
inline constexpr gid_t kMemberGroup = 1702;
inline constexpr uid_t kStranger = 1703;

inline constexpr Identity kMemberIdentity{.uid = kMember, .gid = 1800};
inline constexpr Identity kGroupIdentity{.uid = 1801, .gid = kMemberGroup};
inline constexpr Identity kStrangerIdentity{.uid = kStranger, .gid = 1800};

ports::Port tcp(std::uint16_t port);
ports::Port udp(std::uint16_t port);
// These ports belong to kMember and kMemberGroup.
ports::GuardRules guarding(std::vector<ports::Port> ports, std::string service = "BANK");

class GuardRig {
 public:
  // Throws std::runtime_error.
  GuardRig();
  ~GuardRig();
  GuardRig(const GuardRig&) = delete;
  GuardRig& operator=(const GuardRig&) = delete;

  [[nodiscard]] ports::GuardPlace place(const std::string& instance = "test") const;
  [[nodiscard]] const NetworkNamespace& network() const { return network_; }
  [[nodiscard]] const std::string& cgroup() const { return cgroup_; }  // where processes are put in
  [[nodiscard]] const std::string& outer_cgroup() const { return outer_cgroup_; }

  // In the namespace.
  [[nodiscard]] std::expected<ports::Guard, std::string> put(const ports::GuardPlace& place,
                                                             const ports::GuardRules& rules) const;

  // What `run` returns in a process of that user in cgroup and namespace.
  [[nodiscard]] int as(const Identity& who, const std::function<int()>& run) const;
  // For children of one's own.
  void enter(const Identity& who) const;
  // The errno of a bind in such a process, or 0.
  [[nodiscard]] int bind(const Identity& who, std::uint16_t port, const SocketKind& kind = {}) const;

  // How many programs are attached to a cgroup, over all hooks of the guard.
  [[nodiscard]] static int attached_programs(const std::string& cgroup);
  // The names below tlsmux/ in the bpffs, of folders and pins.
  [[nodiscard]] std::vector<std::string> pins() const;

 private:
  TemporaryFolder folder_;
  NetworkNamespace network_;
  std::string outer_cgroup_;
  std::string cgroup_;
};

// True when the test cannot run, having said so.
bool skip_without_guard();

}  // namespace tlsmux::test
