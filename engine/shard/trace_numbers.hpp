#pragma once

// Leases blocks of trace numbers to channels (ISO 8583 field 11). Does no system call and reads no clock. One thread.
//
// The numbers of an upstream go round: blocks of `trace_numbers.block` numbers from `first` to `last`, then from `first`
// again. So that no number comes twice within a round, not even over restarts, the broker reserves chunks of blocks and
// remembers how far it has come (see broker/trace_store.hpp); a chunk that is lost with its engine is skipped. A block
// that a client left only in a later round than it got it in is not leased again in that round.
//
// So that no number comes that may still be in flight, a block that was leased is not leased again before
//  - it has been left: the client went on to the next one, closed the channel, or is gone; at time t, say; and
//  - kTraceRestNs have passed since t, time enough for a number that was taken to become a request; and
//  - every request of the upstream that was taken in before t + kTraceRestNs has ended, late answers included.
// What earlier engines leased may be with a client still, for kTraceTrustNs (shm/trace_lease.hpp) after the engine's
// end. The broker remembers that too, as of each reservation: it counts as left when this engine begins.
//
// Channels that never ask cost nothing but a look at a word. Nothing here waits: what is not there yet comes later.

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "engine/mux/request_table.hpp"
#include "engine/mux/seams.hpp"
#include "engine/shard/trace_blocks.hpp"
#include "shm/trace_lease.hpp"

namespace tlsmux::engine {

inline constexpr std::uint64_t kTraceRestNs = 60'000'000'000;
// A client may go on for that long with numbers that are not its own any more; the rest is for them to become requests.
static_assert(kTraceRestNs >= 3 * shm::kTraceTrustNs);

// One channel's lease, as the engine keeps it.
struct ChannelTraceLease {
  shm::TraceLeaseProducer producer;
  std::vector<std::uint32_t> blocks;  // granted and not left, oldest first
  bool waits = false;                 // for a block
};

class TraceNumbers final : public mux::TraceNumberSource {
 public:
  // The numbers of the upstreams, in their order.
  explicit TraceNumbers(const config::Config& config);

  // One more, at the next index.
  void add_upstream(const config::TraceNumberSettings& settings) { upstreams_.push_back({.settings = settings}); }

  // The time of all that follows.
  void set_time(std::uint64_t now_ns) { now_ns_ = now_ns; }

  // The client has set the ready bit of a channel of this upstream. The error is the rule that it broke. The lease stays
  // where it is until leave().
  std::string_view look(std::uint32_t upstream, std::uint32_t channel_ref, ChannelTraceLease& lease);
  // The channel is closed, or its client gone; the lease is as new.
  void leave(std::uint32_t upstream, ChannelTraceLease& lease);

  // For a message that the engine itself makes. Nothing while no block is there: it is on its way, try again.
  std::optional<std::uint32_t> take_own(std::uint32_t upstream) override;

  // What the broker is to reserve; answered by `add` or `fail`.
  struct Need {
    std::uint32_t upstream = 0;
    TraceNeed need;
  };
  std::vector<Need> take_needs() { return std::exchange(needs_, {}); }
  void add(std::uint32_t upstream, const TraceReservation& reservation);
  void fail(std::uint32_t upstream);

  // Serves channels that had to wait.
  void work(const mux::RequestTable& requests);
  // When work() is next needed by itself; 0: not.
  [[nodiscard]] std::uint64_t next_due_ns() const { return due_ns_; }
  // Channels whose clients have got numbers and may sleep.
  std::vector<std::uint32_t> take_granted() { return std::exchange(granted_, {}); }

 private:
  struct Waiting {
    std::uint32_t channel_ref = 0;
    ChannelTraceLease* lease = nullptr;
  };
  struct Left {
    std::uint32_t block = 0;
    std::uint32_t round = 0;
    std::uint64_t since_ns = 0;
  };
  // Blocks that clients of earlier engines may have had when this one began: as if left then.
  struct Held {
    std::vector<TraceChunk> chunks{};  // until they have rested
    std::uint64_t count = 0;           // of blocks
    std::vector<TraceChunk> kept{};    // of them, those not to be leased before the next round either
    std::uint64_t since_ns = 0;
  };
  struct Upstream {
    config::TraceNumberSettings settings;
    TraceChunk present{};    // what is left of it
    TraceChunk next{};       // reserved ahead
    bool has_begun = false;  // the broker has answered once
    bool asked = false;      // the broker
    std::uint64_t ask_again_ns = 0;
    std::uint32_t round = 0;                        // counts those that this engine has seen
    std::uint32_t position = 0;                     // where the present chunk ends
    std::map<std::uint32_t, std::uint32_t> used{};  // leased, or left and not rested yet; the round it was leased in
    std::unordered_set<std::uint32_t> had_round{};  // rested, and not to be leased before the next round
    std::deque<Left> left{};                        // in the order of time
    Held held{};
    std::vector<Waiting> waiting{};
    std::uint32_t own_next = 0;
    std::uint32_t own_left = 0;
    std::uint32_t own_block = 0;
  };

  void fill(std::uint32_t upstream, std::uint32_t channel_ref, ChannelTraceLease& lease);
  std::optional<std::uint32_t> take_block(std::uint32_t upstream);
  // False: the broker has not reserved more yet.
  bool begin_chunk(Upstream& upstream) const;
  // Every block is leased or rests.
  static bool is_exhausted(const Upstream& upstream);
  static bool is_held(const Upstream& upstream, std::uint32_t block);
  static TraceHolds held_by_clients(const Upstream& upstream);
  void hold(Upstream& upstream, const TraceHolds& holds);
  void leave_block(std::uint32_t upstream, std::uint32_t block);
  void ask_ahead(std::uint32_t upstream);
  void end_rests(const mux::RequestTable& requests);
  void serve_waiting();
  void set_due();

  std::uint64_t now_ns_ = 0;
  std::uint64_t rests_ended_ns_ = 0;  // when end_rests() last looked
  std::uint64_t due_ns_ = 0;
  std::vector<Upstream> upstreams_;
  std::vector<Need> needs_;
  std::vector<std::uint32_t> granted_;
};

}  // namespace tlsmux::engine
