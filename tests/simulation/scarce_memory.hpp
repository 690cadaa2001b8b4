#pragma once

// Memory that runs out at a chosen allocation: the program's operator new throws std::bad_alloc there. Of its own thread.

#include <cstdint>

namespace tlsmux::simulation {

// For as long as it lives, or until it has struck: of the allocations made, the nth fails. 0: none does.
class ScarceMemory {
 public:
  explicit ScarceMemory(std::uint64_t nth);
  ~ScarceMemory();
  ScarceMemory(const ScarceMemory&) = delete;
  ScarceMemory& operator=(const ScarceMemory&) = delete;
  ScarceMemory(ScarceMemory&&) = delete;
  ScarceMemory& operator=(ScarceMemory&&) = delete;

  // Within its life, with a number that is not 0.
  [[nodiscard]] bool has_struck() const;

 private:
  std::uint64_t before_;
};

// For as long as it lives, nothing fails and nothing is counted: others than the engine act.
class AmpleMemory {
 public:
  AmpleMemory();
  ~AmpleMemory();
  AmpleMemory(const AmpleMemory&) = delete;
  AmpleMemory& operator=(const AmpleMemory&) = delete;
  AmpleMemory(AmpleMemory&&) = delete;
  AmpleMemory& operator=(AmpleMemory&&) = delete;

 private:
  std::uint64_t before_;
};

}  // namespace tlsmux::simulation
