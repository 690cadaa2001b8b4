#pragma once

// What stunnel, HAProxy and nginx have in common: a configuration file, a process in the foreground, and a UNIX socket
// on which programs speak plain bytes to it.

#include <optional>
#include <string>
#include <vector>

#include "bench/process/child_process.hpp"
#include "bench/systems/system.hpp"

namespace tlsmux::bench {

class Sidecar : public System {
 public:
  void start(const Ground& ground, const Demand& demand) override;
  [[nodiscard]] ClientCommand client(std::uint32_t number) const override;
  [[nodiscard]] std::vector<pid_t> services() const override;

 protected:
  struct Files {
    std::string folder;  // of this sidecar's own
    std::string config;
    std::string socket;
  };
  [[nodiscard]] virtual std::string config_text(const Ground& ground, const Demand& demand,
                                                const Files& files) const = 0;
  [[nodiscard]] virtual std::vector<std::string> command(const Files& files) const = 0;

 private:
  Files files_;
  std::optional<ChildProcess> process_;
};

}  // namespace tlsmux::bench
