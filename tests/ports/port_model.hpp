#pragma once

// A group's ports in a world of chance: processes with children, a kernel that knows sockets, and a reference that
// remembers by plain maps who may have which port. The book is told what a desk would tell it, late and out of order
// as it happens, and after each step it is held against the reference.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "ports/book/port_book.hpp"

namespace tlsmux::test {

class PortModel {
 public:
  explicit PortModel(std::uint64_t seed);

  // One thing happens. False: the book broke a rule; see failure().
  bool step();
  // Everybody dies, sockets close, time passes: nothing may be left.
  bool end();
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] const std::map<std::string, std::uint64_t>& happened() const { return happened_; }

 private:
  using Port = ports::Port;

  struct Process {
    ports::PortOwner owner;
    bool is_member = true;
    bool is_alive = true;
    bool is_told = false;  // of its death the book knows
  };
  struct Socket {
    Port port;
    std::uint64_t inode = 0;
    std::uint32_t uid = 0;
    std::set<std::size_t> holders;  // processes
    bool is_claimed = false;        // its port was its process's when it was bound
    bool is_known = false;          // the book was told of it in a sweep, and has taken it in
  };
  struct Claim {
    std::size_t process = 0;
    bool was_bound = false;
    bool was_seen = false;  // the guard told of a bind since it was granted
    std::uint64_t granted_ns = 0;
    int sweeps_absent = 0;
  };
  struct Lease {
    std::size_t process = 0;
    bool is_taken = false;       // the book has not been told
    std::uint64_t until_ns = 0;  // of an engine that is dead; 0: of this one
  };
  struct Sweep {
    std::vector<ports::HeldPort> held;
    std::map<Port, std::size_t> holders;  // the processes that were looked up
    std::set<Port> absent_claims;
  };

  // port_model_steps.cpp: what processes ask for, and what the desk does.
  void claim_dynamic();
  void claim_number();
  void claim_static();
  void bind_claimed();
  void release();
  void offer_lease();
  void take_lease();
  void tell_leases();
  void tell_death();
  void pass_time();
  void replan();
  void restart();

  std::size_t any_process();
  void tell_lease(Port port);
  void tell_death_of(std::size_t process);
  void bind_or_give_up(Port port, std::size_t process);
  void told_of_holder(Port port, std::size_t process);
  void granted(Port port, std::size_t process, const std::string& label);
  ports::PortPlan any_plan();
  void spawn();

  // port_model_kernel.cpp
  void fork();
  void die();
  void bind_unclaimed();
  void close_silently();
  void sweep();
  bool bind(Port port, std::size_t process, bool is_claimed);
  void close(Port port, std::size_t process);
  void kill(std::size_t process);
  void begin_sweep(bool is_full);
  void finish_sweep();

  // port_model.cpp: the reference.
  void may_be_given(Port port, std::size_t process, const std::string& label);
  void check();
  void check_counts();
  void check_changes();
  void fail(const std::string& text);
  void fail(Port port, const std::string& text);
  void did(const std::string& what) { ++happened_[what]; }
  void did(const std::string& what, Port port, std::size_t process);

  std::uint64_t chance(std::uint64_t below) { return random_() % below; }
  bool happens(std::uint64_t percent) { return chance(100) < percent; }
  template <class Container>
  auto any_of(Container& container) {
    return std::next(container.begin(), static_cast<std::ptrdiff_t>(chance(container.size())));
  }

  std::mt19937_64 random_;
  std::string failure_;
  std::map<std::string, std::uint64_t> happened_;
  std::uint64_t now_ns_ = 1'000'000'000;
  std::uint64_t last_inode_ = 1000;

  std::vector<Process> processes_;
  std::map<Port, Socket> sockets_;  // the kernel: one for each port
  std::map<Port, std::uint64_t> time_wait_;

  std::map<Port, Claim> claims_;
  std::map<Port, Lease> leases_;
  std::map<Port, std::size_t> last_owner_;
  std::map<Port, std::uint64_t> closed_ns_;  // when the last claimed socket was closed
  std::map<std::pair<ports::Protocol, std::string>, Port> labels_;
  std::optional<Sweep> sweep_;
  struct Bind {
    Port port;
    std::size_t process = 0;
    std::uint64_t at_ns = 0;
  };
  std::vector<Bind> binds_to_tell_;
  std::map<Port, ports::PortEntry> table_;    // as the changes tell it
  std::map<Port, std::string> shown_labels_;  // of free ports, by the same
  std::map<Port, std::string> histories_;

  std::unique_ptr<ports::PortBook> book_;
};

}  // namespace tlsmux::test
