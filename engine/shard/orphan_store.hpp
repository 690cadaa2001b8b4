#pragma once

// What became of requests whose process is dead, until somebody of the group has seen it: the request's bytes, the
// outcome, the answer. Bounded by the group's OrphanSettings; what must go is wiped, and counted.
//
//   open       the request is still in flight
//   waiting    it has ended, and no subscriber has it
//   delivered  a subscriber has it and may die before it has acted on it
//
//   open -> waiting -> delivered -> released, or back to waiting when the subscriber is gone
//
// A late answer to such a request is kept like an outcome of its own, with the request's bytes: those of one that was
// given up are remembered after its release for as long as the host may still answer it. What is remembered is not held,
// is the first to make room, and goes without being counted. No system call, no clock. One thread.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "engine/mux/seams.hpp"
#include "engine/shard/orphan_memory.hpp"
#include "engine/tls/secret_bytes.hpp"
#include "shm/layout.hpp"

namespace tlsmux::engine {

// A group's requests to one upstream.
struct Lane {
  std::uint32_t group = 0;
  std::uint32_t upstream = 0;
  friend auto operator<=>(const Lane&, const Lane&) = default;
};

using OrphanId = std::uint64_t;  // 0: none

struct Orphan {
  Lane lane;
  std::uint64_t tag = 0;
  shm::NoticeKind kind = shm::NoticeKind::orphan;  // or late
  shm::Outcome outcome = shm::Outcome::none;       // none while the request is open
  shm::Reason reason = shm::Reason::none;
  std::uint16_t error_field = 0;
  std::uint32_t error_offset = 0;
  tls::SecretBytes request;
  tls::SecretBytes answer;
};

struct OrphanCounts {
  std::uint32_t held = 0;     // open, waiting and delivered
  std::uint32_t waiting = 0;  // for a subscriber
  std::uint64_t dropped = 0;
};

class OrphanStore {
 public:
  // `config` outlives it.
  explicit OrphanStore(const config::Config& config) : config_(&config), held_(config.groups.size()) {}

  void set_time(std::uint64_t now_ns) { now_ns_ = now_ns; }

  // A request whose process has died. 0: there is no room for it, which counts as a drop.
  OrphanId open(Lane lane, std::uint64_t tag, std::span<const std::byte> request);
  // It has ended. Nothing if it was dropped meanwhile.
  void answer(OrphanId id, std::span<const std::byte> answer);
  void refuse(OrphanId id, const mux::Refusal& refusal);
  void lose(OrphanId id, shm::Reason reason);
  // An answer to one that has ended; `id` may be gone. There is one at the most.
  void late(OrphanId id, Lane lane, std::uint64_t tag, std::span<const std::byte> answer);

  // The one that waits longest for a subscriber of this lane; 0: none waits.
  [[nodiscard]] OrphanId next(Lane lane) const;
  // Of one that is there.
  [[nodiscard]] const Orphan& at(OrphanId id) const { return entries_.at(id).orphan; }
  void deliver(OrphanId id);
  void take_back(OrphanId id);
  void release(OrphanId id);

  // The configuration has changed where it is: other bounds hold, and there may be more groups.
  void apply_settings();
  // Nothing of this group is kept any more. By upstream, how many were dropped; they are counted here alone.
  std::map<std::uint32_t, std::uint32_t> remove_group(std::uint32_t group);

  // Drops what has waited too long.
  void tick();
  // When tick() is next needed; 0: not by itself.
  [[nodiscard]] std::uint64_t next_due_ns() const;

  [[nodiscard]] OrphanCounts counts(Lane lane) const;
  // Lanes in which something began to wait since the last call.
  std::set<Lane> take_fresh() { return std::exchange(fresh_, {}); }
  bool take_changed(Lane lane) { return changed_.erase(lane) > 0; }

  struct Drop {
    Lane lane;
    bool too_old = false;  // else the store was full
    friend auto operator<=>(const Drop&, const Drop&) = default;
  };
  // What was dropped since the last call, and how many.
  std::map<Drop, std::uint32_t> take_drops() { return std::exchange(drops_, {}); }

 private:
  enum class State : std::uint8_t { open, waiting, delivered };
  struct Entry {
    Orphan orphan;
    State state = State::open;
    std::uint64_t ended_ns = 0;
    std::uint64_t late_until_ns = 0;  // so long an answer may still come; 0: none
  };
  using Waiting = std::set<std::pair<std::uint64_t, OrphanId>>;  // by the time of their end

  OrphanId enter(Lane lane, std::uint64_t tag, tls::SecretBytes request);
  bool make_room(Lane lane);
  [[nodiscard]] bool is_full(std::uint32_t group) const;
  void drop(OrphanId id, bool too_old);
  void count_drop(Lane lane, bool too_old);
  void forget(OrphanId id);
  Entry* find_open(OrphanId id);
  void wait(OrphanId id, Entry& entry);
  [[nodiscard]] std::uint64_t age_max_ns(std::uint32_t group) const;
  [[nodiscard]] const Waiting* oldest_line(std::uint32_t group) const;

  const config::Config* config_;
  std::uint64_t now_ns_ = 0;
  std::map<OrphanId, Entry> entries_;
  OrphanMemory memory_;  // of released ones
  std::map<Lane, Waiting> waiting_;
  std::map<Lane, OrphanCounts> counts_;
  std::vector<std::uint32_t> held_;  // by group
  OrphanId last_id_ = 0;
  std::uint64_t due_ns_ = 0;  // nothing is too old before
  std::set<Lane> fresh_;
  std::set<Lane> changed_;
  std::map<Drop, std::uint32_t> drops_;
};

}  // namespace tlsmux::engine
