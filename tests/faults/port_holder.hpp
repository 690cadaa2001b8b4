#pragma once

// A process that takes ports of its group, listens, gives some back, forks, and is killed at any moment.

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/broker/process.hpp"
#include "tests/faults/claim_log.hpp"
#include "tests/system/port_scene.hpp"

namespace tlsmux::test {

struct HolderPlan {
  std::uint32_t number = 0;  // in the log
  std::uint64_t seed = 0;
  Identity who;
  std::string service;
  std::string own_label;                  // of a dynamic port that no living process but its own has
  std::string static_label;               // of one that all of the group want
  std::uint32_t actions_before_heir = 0;  // 0: it has none
  // Until tlsmuxd has told the guard of it, it is a stranger to it: also while there is no tlsmuxd that could.
  bool must_be_admitted = false;
};

class PortHolder {
 public:
  // The log outlives it.
  PortHolder(const PortScene& scene, ClaimLog& log, const HolderPlan& plan);
  ~PortHolder();
  PortHolder(const PortHolder&) = delete;
  PortHolder& operator=(const PortHolder&) = delete;

  [[nodiscard]] pid_t pid() const { return process_->pid(); }
  // It and its heir stand still.
  void freeze();
  // SIGKILL, and waits for the end. Its heir goes on with its sockets: its pid, for end_heir(); or -1.
  pid_t kill();
  void end_heir(pid_t heir);

 private:
  struct Words {
    std::atomic<pid_t> heir;  // -1: one is being made
  };
  pid_t await_heir();

  ClaimLog& log_;
  std::uint32_t number_;
  Words* words_ = nullptr;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace tlsmux::test
