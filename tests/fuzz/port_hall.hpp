#pragma once

// The desk for ports under a control thread, with one group, in a world that a fuzzer makes: processes, their sockets,
// the broker, time. The clients are this process; others are in the world only.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "config/identity.hpp"
#include "engine/ports/port_desk.hpp"
#include "shm/segment.hpp"
#include "tests/engine/fake_port_world.hpp"
#include "tests/fuzz/choices.hpp"

namespace tlsmux::fuzz {

// Knows this process as the control thread does.
class PortHallWorld : public test::FakePortWorld {
 public:
  PortHallWorld();

  std::expected<std::vector<ports::SocketOwner>, shm::SystemError> find_owners(
      std::span<const std::uint64_t> inodes) override;
  std::expected<engine::PortProcess, shm::SystemError> identify(std::uint32_t pid) override;
  bool is_alive(const ports::PortOwner& owner) override;

 private:
  std::uint32_t own_pid_;
  std::uint64_t own_inode_;
  bool is_own_alive_ = true;

  friend class PortHall;
};

class PortHall {
 public:
  // The log outlives it.
  explicit PortHall(engine::Log& log);

  [[nodiscard]] engine::PortDesk& desk() { return desk_; }

  // What a client may ask.
  static shm::ClaimPortRequest make_claim(Choices& choices);
  static shm::ReleasePortRequest make_release(Choices& choices);
  // A port of the group's, or near.
  static std::uint32_t choose_port(Choices& choices);

  // Something happens, and the desk hears of it.
  void step(Choices& choices);
  // All processes end, after the last client has gone, and time passes.
  void end();

 private:
  void bind(Choices& choices);
  void replace_process(Choices& choices);
  void hear_of_guard(Choices& choices);
  void change_enforcement(Choices& choices);
  void pass(std::uint64_t ms);

  PortHallWorld world_;
  config::Membership membership_;
  shm::Mapping memory_;
  std::vector<std::uint64_t> sockets_;
  engine::PortDesk desk_;
};

}  // namespace tlsmux::fuzz
