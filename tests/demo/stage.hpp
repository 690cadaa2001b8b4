#pragma once

// All that runs during the demo: two hosts, tlsmuxd, the authorizers, and a folder for their files.

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/demo/engine.hpp"
#include "tests/demo/interrupt.hpp"
#include "tests/demo/ledger.hpp"
#include "tests/demo/options.hpp"
#include "tests/demo/payment_host.hpp"
#include "tests/demo/process.hpp"
#include "tests/demo/screen.hpp"
#include "tests/host/host_process.hpp"

namespace tlsmux::demo {

struct AuthorizerProcess {
  AuthorizerProcess(unsigned its_number, Ledger its_ledger, Launch launch)
      : number(its_number), ledger(std::move(its_ledger)), process(std::move(launch)) {}

  unsigned number;  // as in RequestId
  Ledger ledger;
  Process process;
  bool killed = false;
};

class Stage {
 public:
  // Both must outlive it. Failures, here and later, throw std::runtime_error.
  Stage(const Interrupt& interrupt, const Options& options);
  // Whatever still runs is ended, authorizers first.
  ~Stage() = default;
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  // Starts hosts and engine and says so.
  void set_up(Screen& screen);
  // Returns when all are attached; they wait for start_authorizers.
  void attach_authorizers();
  void start_authorizers();

  [[nodiscard]] std::deque<AuthorizerProcess>& authorizers() { return authorizers_; }
  [[nodiscard]] Engine& engine() { return *engine_; }
  [[nodiscard]] PaymentHost& host_a() { return hosts_[0]; }
  [[nodiscard]] PaymentHost& host_b() { return hosts_[1]; }
  [[nodiscard]] const std::string& folder() const { return path_; }

  // Throws if something has ended that should not have, naming it. True when all surviving authorizers are done.
  bool look_after_processes();
  // Ends the engine, then the hosts, in good order.
  void stop();
  // What is still there that should not be, after stop(): processes, shared memory, the control socket.
  [[nodiscard]] std::vector<std::string> residue() const;
  // The last lines of every log, for a failure.
  [[nodiscard]] std::vector<std::string> last_log_lines() const;

 private:
  const Interrupt& interrupt_;
  const Options& options_;
  host::TemporaryFolder temporary_;
  std::string path_;
  // In this order, so that authorizers end first and hosts last.
  std::deque<PaymentHost> hosts_;
  std::unique_ptr<Engine> engine_;
  std::deque<AuthorizerProcess> authorizers_;
};

}  // namespace tlsmux::demo
