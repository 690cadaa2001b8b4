#pragma once

// The processes that the guard lets bind a group's ports although it cannot see that they are members, which is so by a
// supplementary Unix group. Each is looked at here, whatever the engine says, and dismissed when it is dead: a later
// process with its number is a stranger.

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <utility>

#include "config/identity.hpp"
#include "ports/guard.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::broker {

class GuardAdmissions {
 public:
  GuardAdmissions();

  struct Rule {
    config::Membership members;
    std::uint32_t processes_max = 0;
  };
  // The groups that are guarded from now on, by a guard that may be another one now. Who is no member by these is
  // dismissed; the others are admitted to it.
  void set_rules(std::map<std::string, Rule> rules, ports::Guard* guard);

  // ENOENT: the group is not guarded; EACCES: no member; ESRCH: dead; EAGAIN: too many.
  std::expected<void, shm::SystemError> admit(const std::string& group, pid_t pid, ports::Guard& guard);
  void dismiss(const std::string& group, pid_t pid, ports::Guard& guard);
  // The guard is another one now, which knows none of them. Null: there is none.
  void admit_again(ports::Guard* guard);

  // Readable when one of them is dead.
  [[nodiscard]] int descriptor() const { return poll_.get(); }
  void dismiss_dead(ports::Guard& guard);

 private:
  using Key = std::pair<std::string, pid_t>;
  using Admitted = std::map<Key, shm::UniqueFd>;  // pidfds

  Admitted::iterator dismiss(Admitted::iterator admitted, ports::Guard& guard);
  [[nodiscard]] std::size_t count_of(const std::string& group) const;

  shm::UniqueFd poll_;  // epoll
  std::map<std::string, Rule> rules_;
  Admitted admitted_;
};

}  // namespace tlsmux::engine::broker
