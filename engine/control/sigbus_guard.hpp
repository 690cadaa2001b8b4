#pragma once

// The second line against memory that goes away. The seals leave a client no way to truncate or punch what the engine
// has mapped, yet a page can still be lost: to a failing machine, or to a mistake here. Touching such a page raises
// SIGBUS, which would end the engine and with it everybody's sessions. Instead, an empty private page is put in its
// place and the owner is reported, to be detached. A SIGBUS anywhere else ends the process as ever.
//
// A signal handler has no other way to its data than a process-wide pointer: this is the one such place in the engine.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::control {

// One at a time in a process. All but the handler runs on one thread; faults may come from any.
class SigbusGuard {
 public:
  // Room for `ranges_max` ranges, 1 at the least. Installs the handler.
  explicit SigbusGuard(std::size_t ranges_max);
  ~SigbusGuard();
  SigbusGuard(const SigbusGuard&) = delete;
  SigbusGuard& operator=(const SigbusGuard&) = delete;

  // Room for so many more.
  void grow(std::size_t ranges);

  // `owner` is not 0 and has no other range. False when the table is full: the range is then unguarded.
  bool add(std::uint64_t owner, std::span<const std::byte> range);
  // After the range was unmapped.
  void remove(std::uint64_t owner);

  // Readable when an owner has been faulted.
  [[nodiscard]] int descriptor() const { return bell_.get(); }
  // The owners that have lost pages since the last call.
  std::vector<std::uint64_t> take_faulted();

 private:
  // Written by add() and remove(), read by handlers. `begin` is 0 while the entry is free; it is stored last, with
  // release, and loaded first, with acquire: a handler that sees it sees the rest.
  struct Range {
    std::atomic<std::uintptr_t> begin = 0;
    std::atomic<std::uintptr_t> end = 0;
    std::atomic<std::uint64_t> owner = 0;
    std::atomic<bool> faulted = false;
  };

  // Tables are only ever added, at the end: a handler follows `next`, which is stored last, with release.
  struct Table {
    explicit Table(std::size_t count) : size(count), ranges(std::make_unique<Range[]>(count)) {}
    std::size_t size;
    std::unique_ptr<Range[]> ranges;
    std::atomic<Table*> next = nullptr;
  };

  // Until `visit` returns true for a range.
  template <typename Visit>
  bool any_range(Visit visit);
  static void handle(int signal, void* information, void* context);
  bool repair(std::uintptr_t address);

  static std::atomic<SigbusGuard*> active_;

  std::vector<std::unique_ptr<Table>> tables_;  // for their life alone
  Table* first_ = nullptr;
  shm::UniqueFd bell_;
};

}  // namespace tlsmux::engine::control
