#pragma once

// A load client in a process of its own, which reports through a pipe.

#include <csignal>
#include <memory>
#include <string>

#include "config/config.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/broker/process.hpp"
#include "tests/system/load_client.hpp"

namespace tlsmux::test {

// Told to all processes that were given its descriptor, by one write.
class StopSign {
 public:
  StopSign();
  [[nodiscard]] int descriptor() const { return fd_.get(); }
  void raise() const;

 private:
  shm::UniqueFd fd_;
};

// To the config's first group, with the test's seed.
LoadOrder load_order(const config::Config& config, std::uint32_t client);

class LoadProcess {
 public:
  explicit LoadProcess(const LoadOrder& order);

  [[nodiscard]] pid_t pid() const { return process_->pid(); }
  [[nodiscard]] const LoadOrder& order() const { return order_; }
  void send_signal(int signal) const { process_->send_signal(signal); }
  // SIGKILL, and waits for the end.
  void kill();
  // Waits for the end of its work. Fails the test when there is no report or anything is wrong with it.
  LoadReport report();

 private:
  LoadOrder order_;
  shm::UniqueFd reading_;
  std::unique_ptr<ChildProcess> process_;
};

// For a failure's message: the counts and reasons.
std::string words_of(const LoadReport& report);

}  // namespace tlsmux::test
