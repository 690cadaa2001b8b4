#include "ports/enforcement/enforcement.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ports/patient_lock.hpp"

namespace tlsmux::ports {
namespace {

constexpr int kAttemptsMax = 16;

LevelState missing(std::string why) { return {.state = shm::PortEnforcement::missing, .text = std::move(why)}; }

bool is_file(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0;
}

bool is_within(const PortSet& ports, const PortSet& all) {
  PortSet lacking = ports;
  lacking -= all;
  return lacking.empty();
}

bool is_in_list(const PortSet& ports) {
  const auto list = KernelReservation::reserved();
  return list && is_within(ports, *list);
}

// A file that is locked while something is being changed. Who has it unlocked last may remove it.
class PlaceLock {
 public:
  static std::expected<PlaceLock, std::string> take(const EnforcementPlace& place) {
    if (::mkdir(place.folder.c_str(), 0755) != 0 && errno != EEXIST) {
      return std::unexpected(shm::last_error("making the folder " + place.folder).message);
    }
    const auto path = place.lock_file();
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
      shm::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
      if (!fd) return std::unexpected(shm::last_error("opening " + path).message);
      if (const int error = lock_patiently(fd.get()); error == EWOULDBLOCK) {
        return std::unexpected("another process has been changing reservation or guard for seconds (" + path +
                               " is locked); try again");
      } else if (error != 0) {
        errno = error;
        return std::unexpected(shm::last_error("locking " + path).message);
      }
      if (is_still_there(path, fd.get())) return PlaceLock(path, std::move(fd));
    }
    return std::unexpected("the lock file " + path + " keeps changing");
  }

  void remove_file() const { ::unlink(path_.c_str()); }

 private:
  PlaceLock(std::string path, shm::UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  static bool is_still_there(const std::string& path, int fd) {
    struct stat opened{};
    struct stat named{};
    return ::fstat(fd, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
  }

  std::string path_;
  shm::UniqueFd fd_;
};

}  // namespace

Enforcement::Enforcement(EnforcementPlace place)
    : place_(std::move(place)), reservation_(place_.journal()), record_(place_.record()) {}

bool Enforcement::has_guard_in(const std::string& bpf_directory) const {
  if (bpf_directory.empty()) return false;
  const auto instances = Guard::instances(bpf_directory);
  return std::ranges::find(instances, place_.instance()) != instances.end();
}

bool Enforcement::has_guard() const {
  return has_guard_in(place_.guard.bpf_directory) || has_guard_in(record_.bpf_directory());
}

bool Enforcement::has_traces() const { return is_file(place_.journal()) || is_file(place_.record()) || has_guard(); }

EnforcementState Enforcement::probe(const EnforcementOrder& order) const {
  EnforcementState state;
  if (!order.reserved.empty()) {
    state.reservation.state = shm::PortEnforcement::on;
    const auto possible = KernelReservation::probe();
    if (!possible && !is_in_list(order.reserved)) state.reservation = missing(possible.error());
  }
  if (!order.guarded.services.empty()) {
    state.guard.state = shm::PortEnforcement::on;
    if (const auto possible = Guard::probe(place_.guard); !possible) state.guard = missing(possible.error());
  }
  return state;
}

EnforcementState Enforcement::apply(const EnforcementOrder& order) {
  // An engine that asks for nothing needs no folder, and no privilege.
  if (order.is_empty() && !has_traces()) return {};
  EnforcementState state;
  const auto lock = PlaceLock::take(place_);
  if (!lock) {
    if (!order.reserved.empty()) state.reservation = missing(lock.error());
    if (!order.guarded.services.empty()) state.guard = missing(lock.error());
    return state;
  }
  const auto before = reservation_.added().value_or(PortSet());
  state.reservation = reserve(before, order.reserved);
  state.guard = settle_guard(order, state.reservation);
  // What only the rules before needed goes last. Where the guard could not be told the new rules, it has the old ones.
  const bool guard_needs_more = state.guard.state != shm::PortEnforcement::on && has_guard();
  if (!is_within(before, order.reserved) && !guard_needs_more) {
    if (const auto done = reservation_.set(order.reserved); !done) state.reservation.text = done.error().message;
  }
  if (order.is_empty() && !has_traces()) lock->remove_file();
  return state;
}

// Adds to what is there.
LevelState Enforcement::reserve(const PortSet& before, const PortSet& wanted) {
  PortSet both = before;
  both |= wanted;
  LevelState state{.state = wanted.empty() ? shm::PortEnforcement::off : shm::PortEnforcement::on, .text = {}};
  if (both.empty()) return state;
  const auto done = reservation_.set(both);
  if (!done && !is_in_list(wanted)) return missing(done.error().message);
  return state;
}

LevelState Enforcement::settle_guard(const EnforcementOrder& order, const LevelState& reservation) {
  if (order.guarded.services.empty()) {
    LevelState state;
    if (const auto removed = remove_guard(); !removed) {
      state.text = "the guard of an earlier configuration could not be taken away: " + removed.error();
    }
    return state;
  }
  if (!is_in_list(order.guarded_ports())) {
    auto state = missing("without the reservation it would make innocent binds to port 0 fail: " + reservation.text);
    // What the earlier rules need may be gone as well.
    if (!is_in_list(reservation_.added().value_or(PortSet()))) {
      if (const auto removed = remove_guard(); !removed) state.text += "; taking away the old one: " + removed.error();
    }
    return state;
  }
  if (auto put = put_guard(order.guarded); !put) return missing(std::move(put.error()));
  return {.state = shm::PortEnforcement::on, .text = {}};
}

std::expected<void, std::string> Enforcement::put_guard(const GuardRules& rules) {
  const auto& here = place_.guard.bpf_directory;
  if (guard_ && guard_->set_rules(rules)) return {};
  const auto recorded = record_.bpf_directory();
  const auto record = [&]() -> std::expected<void, std::string> {
    if (const auto stored = record_.store(here); !stored) return std::unexpected(stored.error().message);
    return {};
  };
  // Before the guard is there, unless another one is on record, which is in force until this one is. Where it cannot be
  // had, which is tried time and again, nothing is written.
  if (recorded.empty()) {
    if (auto possible = Guard::probe(place_.guard); !possible) return possible;
    if (auto done = record(); !done) return done;
  }
  auto guard = Guard::put(place_.guard, rules, guard_ ? &*guard_ : nullptr);
  if (!guard) {
    if (!has_guard_in(here)) guard_.reset();
    if (!has_guard()) record_.remove();
    return std::unexpected(guard.error());
  }
  // Who was let in by an earlier configuration need not be a member by this one.
  guard->dismiss_all();
  guard_.emplace(std::move(*guard));
  if (recorded.empty() || recorded == here) return {};
  if (auto removed = remove_guard_in(recorded); !removed) return removed;
  return record();
}

std::expected<void, std::string> Enforcement::remove_guard() {
  guard_.reset();
  for (const auto& directory : {place_.guard.bpf_directory, record_.bpf_directory()}) {
    if (!has_guard_in(directory)) continue;
    if (auto removed = remove_guard_in(directory); !removed) return removed;
  }
  record_.remove();
  return {};
}

std::expected<void, std::string> Enforcement::remove_guard_in(const std::string& bpf_directory) {
  auto place = place_.guard;
  place.bpf_directory = bpf_directory;
  if (const auto removed = Guard::remove(place); !removed) return std::unexpected(removed.error());
  return {};
}

bool Enforcement::is_in_place(const EnforcementOrder& order, const EnforcementState& state) const {
  if (state.reservation.state == shm::PortEnforcement::on && !is_in_list(order.reserved)) return false;
  return state.guard.state != shm::PortEnforcement::on || has_guard_in(place_.guard.bpf_directory);
}

std::expected<void, std::string> Enforcement::leave() {
  if (has_guard() || !is_file(place_.journal())) return {};
  const auto lock = PlaceLock::take(place_);
  if (!lock) return std::unexpected(lock.error());
  if (has_guard()) return {};  // since then
  if (const auto done = reservation_.set({}); !done) return std::unexpected(done.error().message);
  record_.remove();
  lock->remove_file();
  return {};
}

std::expected<Enforcement::Removed, std::string> Enforcement::remove() {
  Removed removed;
  if (!has_traces()) return removed;
  const auto lock = PlaceLock::take(place_);
  if (!lock) return std::unexpected(lock.error());
  removed.guard = has_guard();
  if (const auto done = remove_guard(); !done) return std::unexpected(done.error());
  if (const auto added = reservation_.added()) removed.reservation = *added;
  if (const auto done = reservation_.set({}); !done) return std::unexpected(done.error().message);
  lock->remove_file();
  return removed;
}

}  // namespace tlsmux::ports
