#pragma once

// A process that tries to get ports of groups to which it does not belong, by every call, all the time.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ports/book/port_set.hpp"
#include "tests/broker/process.hpp"
#include "tests/system/port_choice.hpp"
#include "tests/system/port_scene.hpp"

namespace tlsmux::test {

class PortStranger {
 public:
  // Binds ports out of `others`, of which the guard should refuse each one to `who`, and lets the kernel choose ports, which
  // should be no group's. Of the ports it was given it keeps some for a while.
  PortStranger(const PortScene& scene, const Identity& who, const ports::PortSet& others);
  ~PortStranger();
  PortStranger(const PortStranger&) = delete;
  PortStranger& operator=(const PortStranger&) = delete;

  // Waits until it has made each call again.
  void goes_on() const;
  // How often each call was made at the least.
  [[nodiscard]] std::uint64_t tries() const;
  // How many ports of groups it got by the calls of one kind.
  [[nodiscard]] std::uint64_t got_by_number() const;
  [[nodiscard]] std::uint64_t got_by(ChoosingCall call) const;
  // In words, each kind of call that ended as it should not.
  [[nodiscard]] std::vector<std::string> complaints() const;

 private:
  struct Tallies;
  struct Unmap {
    void operator()(Tallies* tallies) const;
  };
  class Work;

  std::string who_;
  std::unique_ptr<Tallies, Unmap> tallies_;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace tlsmux::test
