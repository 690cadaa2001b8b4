#pragma once

// The authority over the ports of one group: who has which, what is free, what becomes of the ports of the dead. Does no
// system call and reads no clock; claims, deaths and what the kernel says about sockets come in, and so does the time.
// One thread.
//
//   free -> leased -> claimed -> bound -> quarantine -> free
//      \----------------^          \-> orphan -> bound (by a child), or quarantine
//   free -> external -> free       a socket that nobody claimed
//
// Neither a release nor an owner's death makes a port free: only the kernel's word that no socket holds it. A port that
// was bound must be absent in kSweepsToBelieve sweeps, unless its owner has released it or is dead, where one is enough
// that was begun afterwards. A living owner that has not bound its port yet keeps it. A sweep counts for nothing where a
// port has changed hands since the sweep was begun.
//
// Then come the reuse delay, for others than the port's own label, and the rule that the port freed last is given out
// last. Static ports know no delay, and a port that was only on lease needs none. TIME_WAIT alone is nobody's socket: a
// port with nothing else is absent.
//
// Leases: a process gets one more while its leases, that one included, are no more than a quarter of the free ports
// beyond free_min. So one process has a fifth of a small range at the most, the next ones less and less, and with fewer
// than four to spare nobody gets one: leases alone never exhaust a range.

#include <array>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/limits.hpp"
#include "ports/book/port_entry.hpp"
#include "ports/book/port_labels.hpp"
#include "ports/book/port_plan.hpp"
#include "ports/book/port_pool.hpp"
#include "ports/diagnosis/port_holders.hpp"
#include "ports/protocol.hpp"
#include "shm/control_protocol.hpp"
#include "shm/layout.hpp"

namespace tlsmux::ports {

inline constexpr int kSweepsToBelieve = 3;

struct ClaimOrder {
  shm::PortClaimKind kind{};
  Protocol protocol{};
  std::uint16_t number = 0;  // of PortClaimKind::number
  std::string_view label{};
  PortOwner owner;
  // kPortEngine: it stays the owner's until it is released, whether a socket holds it or not; per_process_max is not for it.
  std::uint8_t flags = 0;
};

// An errno as in ClaimPortReply, and words that say what to do.
struct ClaimRefusal {
  int error = 0;
  std::string text;
};

class PortBook {
 public:
  explicit PortBook(PortPlan plan);
  PortBook(const PortBook&) = delete;
  PortBook& operator=(const PortBook&) = delete;

  // ---- What processes ask for ----

  // The port is the owner's, and stays so until it is released, or the owner is dead, and no socket holds it. What is
  // the owner's already is granted again. What is on lease is not claimed by number: take the lease back first.
  std::expected<std::uint16_t, ClaimRefusal> claim(const ClaimOrder& order, std::uint64_t now_ns);
  // A sweep may change the answer: what is asked for was released, or its owner is dead. Best begun before claim().
  [[nodiscard]] bool sweep_may_help(const ClaimOrder& order) const;
  // Other processes that have what is asked for by number or label.
  [[nodiscard]] std::vector<PortOwner> owners_in_the_way(const ClaimOrder& order) const;
  // `in_use`: the owner could not bind it, somebody else has it. False: it is not the owner's, and nothing was done.
  // Where a socket was taken for the owner's, it is looked into whose it is; until then a label moves on to another port.
  bool release(Port port, const PortOwner& owner, bool in_use, std::uint64_t now_ns);
  // The owner could not bind it, though it had it before: its own socket may hold it, or another's. The same is done about
  // it; the port is the owner's until it is known to be another's.
  bool doubt(Port port, const PortOwner& owner);

  // A port that the owner may take without asking. Nothing: too few are free, or the owner has its fill.
  std::optional<std::uint16_t> lease(Protocol protocol, const PortOwner& owner, std::uint64_t now_ns);
  // The owner has taken it: it is claimed. Or has not, and may not any more: it is free.
  void lease_taken(Port port, std::uint64_t now_ns);
  void lease_returned(Port port, std::uint64_t now_ns);
  // So few are free that leases should be taken back.
  [[nodiscard]] bool is_scarce(Protocol protocol) const;

  // The process is dead. Its ports are looked at in the next sweep. Its leases are over: what became of them is told
  // before this, and not after.
  void owner_died(const PortOwner& owner, std::uint64_t now_ns);

  // ---- What the kernel says ----

  // Begins a sweep: what is told by finish_sweep() was asked for after this.
  void begin_sweep();
  // The sockets on this group's ports that are not free, grandfathered ones included, as they were after begin_sweep();
  // those on free ones too, where they were asked for.
  void finish_sweep(std::span<const HeldPort> held, std::uint64_t now_ns);
  // Sockets whose holder is wanted: orphans, and what is not known to be the owner's.
  [[nodiscard]] std::vector<std::uint64_t> inodes_without_owner() const;
  // The guard saw a member bind it, at `bound_ns`. Told late, it says nothing of a port that was granted since.
  void bind_seen(Port port, const PortOwner& owner, std::uint64_t bound_ns, std::uint64_t now_ns);
  // There is something that only a sweep can settle.
  [[nodiscard]] bool wants_sweep() const;

  // ---- The rest ----

  // Time has passed. Returns when to call again; 0: no need.
  std::uint64_t expire(std::uint64_t now_ns);
  // Other settings: what is held and not the group's any more stays with its owner, as grandfathered.
  void replan(PortPlan plan, std::uint64_t now_ns);
  // What an engine before this one knew, into an empty book; of a port that is free, which label had it last. A lease of
  // that engine's is held back until `trust_ns` from now, since its client may still take it.
  void adopt(std::span<const PortEntry> entries, std::uint64_t trust_ns, std::uint64_t now_ns);

  [[nodiscard]] const PortPlan& plan() const { return plan_; }
  // Null: it is free.
  [[nodiscard]] const PortEntry* find(Port port) const;
  [[nodiscard]] std::uint32_t free_count(Protocol protocol) const;
  // Claimed ones and leases.
  [[nodiscard]] std::uint32_t held_by(Protocol protocol, const PortOwner& owner) const;
  [[nodiscard]] std::uint64_t claims() const { return claims_; }
  [[nodiscard]] std::uint64_t claims_refused() const { return claims_refused_; }

  // Which label had a port last that is free now. Empty: none that is remembered. Until the next call of another kind.
  [[nodiscard]] std::string_view remembered_label(Port port) const;
  // The ports whose entries, or labels while they are free, have changed since the last call, each once. For the tables.
  std::vector<Port> take_changes();

 private:
  struct Record {
    PortEntry entry;
    PortHolders::Id holder = PortHolders::kNobody;  // nobody: the owner is dead, or there is none
    PortHolders::Share share{};                     // as it was added to the holder
    std::uint64_t changed_in = 0;                   // sweeps begun when it last changed hands
    std::uint64_t wanted_inode = 0;                 // of a socket whose holder is wanted
    std::uint64_t alarm_ns = 0;                     // when a quarantine or a held back lease is over; 0: neither
    std::uint64_t granted_ns = 0;                   // when the owner asked for it last; 0: it took a lease
    int absences = 0;                               // sweeps in turn in which it was absent
    bool is_inode_proven = false;                   // its socket is the owner's not by the user's number alone
    bool is_doubted = false;                        // its owner could not bind it: whose socket is there?
    bool is_on_offer = false;                       // leased, and its client can still take it
    bool is_released = false;
  };
  struct PortHash {
    std::size_t operator()(Port port) const { return index_of(port.protocol) << 16 | port.number; }
  };
  using Claimed = std::expected<Port, ClaimRefusal>;
  using Sights = std::span<const HeldPort* const>;

  [[nodiscard]] bool is_dynamic(Port port) const {
    return plan_.dynamic[index_of(port.protocol)].contains(port.number);
  }
  [[nodiscard]] const PortPlan::StaticPort* find_static(Port port) const;
  [[nodiscard]] bool is_planned(Port port) const { return is_dynamic(port) || find_static(port) != nullptr; }
  void index_static_ports();

  // port_book.cpp: what a port is.
  Record* record_of(Port port);
  // Null: it is not the owner's, or he cannot know.
  Record* record_of(Port port, const PortOwner& owner);
  [[nodiscard]] const Record* record_of(Port port) const;
  void will_change(Port port);
  Record& enter(Port port, shm::PortState state, const PortOwner& owner, std::uint64_t now_ns);
  void set_state(Record& record, shm::PortState state, std::uint64_t now_ns);
  void set_released(Record& record, bool is_released);
  void set_alarm(Record& record, std::uint64_t at_ns);
  void give_to(Record& record, PortHolders::Id holder);
  void recount(Record& record);
  [[nodiscard]] static PortHolders::Share share_of(const PortEntry& entry);
  void quarantine(Record& record, std::uint64_t now_ns);
  void erase(Port port);
  void put_into_pool(Port port);
  void label(Record& record, std::string_view text);
  void remember(Port port, std::string_view text);
  void unlabel(Record& record);
  [[nodiscard]] static bool is_unsettled(const Record& record);
  [[nodiscard]] static bool is_dead(const Record& record);
  [[nodiscard]] std::uint8_t flags_of(Port port) const;

  // port_claims.cpp: what an order comes to.
  [[nodiscard]] Claimed choose(const ClaimOrder& order);
  [[nodiscard]] Claimed choose_dynamic(const ClaimOrder& order);
  [[nodiscard]] Claimed choose_labelled(const ClaimOrder& order) const;
  [[nodiscard]] Claimed choose_number(const ClaimOrder& order) const;
  [[nodiscard]] Claimed check_taken(Port port, const ClaimOrder& order) const;
  [[nodiscard]] std::optional<ClaimRefusal> check_program(const PortPlan::StaticPort& port,
                                                          const PortOwner& owner) const;
  [[nodiscard]] bool has_its_fill(const ClaimOrder& order) const;
  [[nodiscard]] const Record* labels_record(const ClaimOrder& order) const;
  void grant(Port port, const ClaimOrder& order, std::uint64_t now_ns);

  // port_sightings.cpp: what a sweep comes to.
  void absent(Record& record, std::uint64_t now_ns);
  void present(Record& record, Sights sights, std::uint64_t now_ns);
  void present_with_owner(Record& record, Sights sights, std::uint64_t now_ns);
  void present_without_owner(Record& record, Sights sights, std::uint64_t now_ns);
  void confirm(Record& record, const HeldPort& sight, bool is_proven, std::uint64_t now_ns);
  void hand_over(Record& record, const HeldPort& sight, std::uint64_t now_ns);
  void observe(Record& record, const PortOwner& owner, std::uint64_t now_ns);

  // port_succession.cpp: other settings, another engine.
  void replan_one(Record& record, std::uint64_t now_ns);
  void adopt_label(const PortEntry& entry);
  void adopt_one(const PortEntry& entry, std::uint64_t trust_ns, std::uint64_t now_ns);

  PortPlan plan_;
  std::map<Port, const PortPlan::StaticPort*> static_ports_;  // into the plan
  std::multimap<std::pair<Protocol, std::string_view>, const PortPlan::StaticPort*> static_labels_;
  std::array<PortPool, 2> pools_;
  std::unordered_map<Port, Record, PortHash> records_;  // of the ports that are not free
  PortHolders holders_;
  PortLabels labels_{config::kPortLabelsMax};
  std::set<std::pair<std::uint64_t, Port>> alarms_;
  std::unordered_map<Port, std::optional<PortEntry>, PortHash> before_;  // what has changed, as it was
  std::set<Port> relabelled_;                                            // free ports whose label is another, or none
  std::uint64_t sweeps_begun_ = 0;
  std::uint64_t claims_ = 0;
  std::uint64_t claims_refused_ = 0;
};

}  // namespace tlsmux::ports
