#pragma once

// The reference model of streams: what each process wrote, and what has come down to it. It objects (by throwing
// Violation) when
//
//  - the records make no sense: the first is not `opened` or `refused`, there is none at the end or more than one, or bytes
//    stand behind it (but a stream whose host has said `closed` may still be lost)
//  - a stream gets an answer that is not to a message of its own, twice, or out of the order that was configured
//  - it is told `closed` before all is answered, or before it has said that it writes no more
//  - it is lost without a reason, or the words about what may have been sent are wrong; see Ledger, which knows the
//    messages, and LeaseLedger
//  - the engine reads more from it than it may keep
//  - all is well, but the stream is refused or lost

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "config/config.hpp"
#include "engine/message/frame_cutter.hpp"
#include "shm/outcome.hpp"
#include "shm/stream_record.hpp"
#include "tests/simulation/lease_ledger.hpp"
#include "tests/simulation/ledger.hpp"

namespace tlsmux::simulation {

struct NewStreamEntry {
  std::uint32_t upstream = 0;
  std::uint32_t group = 0;
  std::uint64_t engine = 0;
  bool tells_hang_up = true;
  bool must_succeed = false;
};

// How streams ended, over a run.
struct StreamStatistics {
  std::uint64_t opened = 0;
  std::uint64_t turned_away = 0;  // for want of a place
  std::uint64_t refused = 0;
  std::uint64_t closed = 0;
  std::uint64_t lost = 0;
  std::uint64_t lost_not_sent = 0;
  std::uint64_t left = 0;  // by their processes
  std::uint64_t answers = 0;
  std::uint64_t bytes = 0;   // of hosts
  std::uint64_t reused = 0;  // sessions that another stream had had

  void add(const StreamStatistics& other);
  friend bool operator==(const StreamStatistics&, const StreamStatistics&) = default;
};

class StreamLedger {
 public:
  // Both outlive it.
  StreamLedger(const config::Config& config, Ledger& ledger, LeaseLedger& leases)
      : config_(&config), ledger_(&ledger), leases_(&leases) {}

  // A stream's number, from 1 on.
  std::uint64_t open(const NewStreamEntry& entry);
  // What it is: before that it writes nothing.
  void decide(std::uint64_t stream, const config::UpstreamSettings& present);
  [[nodiscard]] std::uint32_t upstream_of(std::uint64_t stream) const { return at(stream).upstream; }
  [[nodiscard]] bool is_leased(std::uint64_t stream) const { return at(stream).is_leased; }
  // Of an upstream that has messages.
  [[nodiscard]] const engine::message::Framing& framing(std::uint64_t stream) const { return *at(stream).framing; }
  // The control thread says that there is no room.
  void turned_away(std::uint64_t stream);

  // ---- The process.
  // Writes one message more, framed: of a message stream the ledger's request of that number, or a part of a message,
  // which is number 0.
  void composed(std::uint64_t stream, std::uint64_t number, std::span<const std::byte> framed);
  void finished(std::uint64_t stream) { at(stream).has_finished = true; }
  // It has closed its end, or is dead, or its engine is.
  void left(std::uint64_t stream);
  void engine_died(std::uint64_t stream);
  // All that was asked is answered.
  [[nodiscard]] bool is_satisfied(std::uint64_t stream) const;
  // Its last record has come.
  [[nodiscard]] bool is_over(std::uint64_t stream) const { return at(stream).last.has_value(); }
  // Likewise, and behind it no `lost`, as may follow on `closed`, has come in part.
  [[nodiscard]] bool is_told_all(std::uint64_t stream) const { return is_over(stream) && at(stream).head.empty(); }
  [[nodiscard]] std::uint32_t group_of(std::uint64_t stream) const { return at(stream).group; }

  // ---- The engine's end.
  // It has read so many bytes more.
  void engine_read(std::uint64_t stream, std::size_t bytes) { at(stream).read += bytes; }
  void check_may_receive(std::uint64_t stream) const;
  // The kernel has taken these to bring them down.
  void came_down(std::uint64_t stream, std::span<const std::byte> bytes);
  // It closes its socket.
  void engine_closes(std::uint64_t stream) const;

  [[nodiscard]] StreamStatistics statistics() const;

 private:
  using Type = shm::StreamRecordType;
  struct Entry : NewStreamEntry {
    bool is_leased = false;
    bool is_in_turn = false;  // answers come as asked
    bool has_finished = false;
    bool has_left = false;
    // Records.
    std::vector<std::byte> head;  // of a record, and what belongs to it, until that is complete
    std::size_t data_left = 0;    // of a data record
    bool is_opened = false;
    std::optional<Type> last;
    // Messages.
    std::unique_ptr<engine::message::Framing> framing;
    std::unique_ptr<engine::message::FrameCutter> cutter;
    std::deque<std::uint64_t> asked;  // and not answered
    std::vector<std::size_t> ends;    // of messages, in what it writes
    std::size_t written = 0;
    std::size_t read = 0;  // by the engine
    std::size_t answered = 0;
  };

  [[nodiscard]] const Entry& at(std::uint64_t stream) const { return entries_.at(stream); }
  Entry& at(std::uint64_t stream) { return entries_.at(stream); }
  [[noreturn]] static void object(std::uint64_t stream, const Entry& entry, const std::string& what);
  void take_record(std::uint64_t stream, Entry& entry);
  void take_data(std::uint64_t stream, Entry& entry, std::span<const std::byte> bytes);
  void take_answer(std::uint64_t stream, Entry& entry, std::span<const std::byte> message);
  void take_closed(std::uint64_t stream, Entry& entry);
  void take_end(std::uint64_t stream, Entry& entry, Type type);

  const config::Config* config_;
  Ledger* ledger_;
  LeaseLedger* leases_;
  std::map<std::uint64_t, Entry> entries_;
  StreamStatistics statistics_;
};

// Under which a stream's messages stand in the ledger.
constexpr std::uint32_t asker_of(std::uint64_t stream) { return 1'000'000 + static_cast<std::uint32_t>(stream); }

}  // namespace tlsmux::simulation
