#pragma once

// Reservation and guard of one engine, put in place and taken away in the only order that is safe: the guard is never
// there without the reservation, since it would make innocent binds to port 0 fail. Both outlive whoever puts them in
// place; whatever is killed when, the next call finds by the journal and the bpffs what was done and goes on from there.
// tlsmuxd and `tlsmux ports` use the same.

#include <expected>
#include <optional>
#include <string>

#include "ports/enforcement/enforcement_order.hpp"
#include "ports/enforcement/enforcement_place.hpp"
#include "ports/enforcement/kernel_reservation.hpp"
#include "ports/guard.hpp"
#include "ports/guard_record.hpp"
#include "shm/layout.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::ports {

struct LevelState {
  shm::PortEnforcement state{};  // off: the order does not ask for it
  std::string text;              // missing: what is in the way

  friend bool operator==(const LevelState&, const LevelState&) = default;
};

struct EnforcementState {
  LevelState reservation;
  LevelState guard;

  friend bool operator==(const EnforcementState&, const EnforcementState&) = default;
};

// One thread. Every call blocks for some milliseconds, and at most some seconds where another process is changing
// something at the same place: one does so at a time.
class Enforcement {
 public:
  explicit Enforcement(EnforcementPlace place);

  // What of the order could not be put in place as things are, without changing anything.
  [[nodiscard]] EnforcementState probe(const EnforcementOrder& order) const;

  // From now on this is in place, and nothing else: what is in force already stays so without a gap. A level that
  // cannot be had is `missing`, and the other holds.
  EnforcementState apply(const EnforcementOrder& order);

  // Whether all that apply() said is on is still there.
  [[nodiscard]] bool is_in_place(const EnforcementOrder& order, const EnforcementState& state) const;

  // For the end of a tlsmuxd: the reservation goes, unless the guard is there. An error in words.
  std::expected<void, std::string> leave();

  struct Removed {
    bool guard = false;
    PortSet reservation;
  };
  // Takes both away. An error in words; if it is the guard's, the reservation stays.
  std::expected<Removed, std::string> remove();

  // As the last apply() has put it; null: it has not.
  [[nodiscard]] Guard* guard() { return guard_ ? &*guard_ : nullptr; }

  [[nodiscard]] const EnforcementPlace& place() const { return place_; }

 private:
  [[nodiscard]] bool has_guard() const;
  [[nodiscard]] bool has_guard_in(const std::string& bpf_directory) const;
  [[nodiscard]] bool has_traces() const;
  LevelState reserve(const PortSet& before, const PortSet& wanted);
  LevelState settle_guard(const EnforcementOrder& order, const LevelState& reservation);
  std::expected<void, std::string> put_guard(const GuardRules& rules);
  std::expected<void, std::string> remove_guard_in(const std::string& bpf_directory);
  std::expected<void, std::string> remove_guard();

  EnforcementPlace place_;
  KernelReservation reservation_;
  GuardRecord record_;
  std::optional<Guard> guard_;
};

}  // namespace tlsmux::ports
