#pragma once

// The reference model: what is known of each request, from everywhere at once. It objects (by throwing Violation) the
// moment something happens that the product promises never to happen:
//
//  - each request ends once, and in the end all have ended whose caller lives
//  - NOT_SENT: no connection has accepted, or ever accepts, a byte of a record that holds a byte of it
//  - MAYBE_SENT because a session was lost: at least one such byte was accepted
//  - no request is sent on two connections
//  - ANSWERED: the answer is the host's answer to this request, and to what the client wrote. One exception: where keys
//    tell, one that comes after late_answer_ms is taken for that of a later request with the same key
//  - a reply goes out on the connection that brought what it replies to, and reply_sent means that bytes of it left
//  - a late answer is the host's answer to a request that was not answered, and goes to its own group, once
//  - a request whose process died goes to a subscriber of its own group, with its bytes and one outcome, which is true;
//    to another only when the first is gone; and in the end somebody has got each

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "shm/outcome.hpp"

namespace tlsmux::simulation {

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct NewEntry {
  std::uint32_t client = 0;
  std::uint32_t group = 0;
  std::uint64_t engine = 0;  // to which it was submitted
  std::uint32_t upstream = 0;
  bool in_order = false;  // the upstream's correlation; at last that of the connection to which it is given
  std::uint64_t key = 0;
  std::size_t key_offset = 0;
  std::size_t length = 0;
  // Its engine gives it up then or later, and keeps its key for late_answer_ms more. By default: never.
  std::uint64_t deadline_ns = std::numeric_limits<std::uint64_t>::max();
  bool must_be_answered = false;
  bool is_reply = false;
  bool is_of_stream = false;                       // it ends with its stream, and nobody inherits it
  std::set<std::uint64_t> reply_connections = {};  // any of these brought what it replies to; empty: not known
};

// Of a request, to a connection.
struct Offer {
  std::uint64_t connection = 0;
  bool in_order = false;
  std::uint64_t at_ns = 0;
};

// An open channel that gets notices.
struct Receiver {
  std::uint64_t opening = 0;  // never used again
  std::uint32_t group = 0;
  std::uint32_t upstream = 0;
};

struct Verdict {
  shm::Outcome outcome = shm::Outcome::none;
  shm::Reason reason = shm::Reason::none;
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

class Ledger {
 public:
  // A request's number, from 1 on.
  std::uint64_t submit(const NewEntry& entry);

  // From here on an engine may wait for late answers no longer than that.
  void late_answers_within(std::uint32_t upstream, std::uint32_t late_answer_ms);

  // The engine has given all of it to the kernel.
  void offered(std::uint64_t number, const Offer& offer);
  // The kernel has accepted a byte of a record that holds a byte of the request.
  void started(std::uint64_t number, std::uint64_t connection);
  // A host has received the whole of it.
  void heard(std::uint64_t number, std::span<const std::byte> message);
  // A host has said on this connection what it should not. Where order tells, answers may be mixed up from here on.
  void lied(std::uint32_t upstream, std::uint64_t connection);

  // What the caller was told.
  void ended(std::uint64_t number, shm::Outcome outcome, shm::Reason reason, std::span<const std::byte> answer);

  // A notice was read from a channel.
  void late(std::uint64_t number, const Receiver& receiver, std::span<const std::byte> answer);
  void orphaned(std::uint64_t number, const Receiver& receiver, const Verdict& verdict,
                std::span<const std::byte> request, std::span<const std::byte> answer);
  // A channel is over; what it had not dealt with may be given to others.
  void closed(std::uint64_t opening);
  // What a host sends unasked, and on which connections that came.
  void host_said(std::uint64_t connection, std::span<const std::byte> message);
  [[nodiscard]] std::set<std::uint64_t> connections_of(std::span<const std::byte> message) const;
  [[nodiscard]] bool is_reply(std::uint64_t number) const { return entries_[number - 1].is_reply; }
  [[nodiscard]] const NewEntry& entry(std::uint64_t number) const { return entries_[number - 1]; }
  // As its caller has written it.
  [[nodiscard]] std::vector<std::byte> text(std::uint64_t number) const;
  // A request of a stream, which gives no tags of its own.
  [[nodiscard]] bool is_of_stream(std::uint64_t number) const { return entries_[number - 1].is_of_stream; }
  // Where order tells, and its host has lied: its answer may be anything.
  [[nodiscard]] bool may_be_mixed_up(std::uint64_t number) const;
  // A host has received it.
  [[nodiscard]] bool is_heard(std::uint64_t number) const { return !entries_[number - 1].connections.empty(); }
  // A host of this upstream has lied.
  [[nodiscard]] bool has_lied(std::uint32_t upstream) const { return upstreams_of_liars_.contains(upstream); }
  // In the end, of one group and upstream: whatever died with this engine alive has been given to somebody.
  void check_orphans_given(std::uint64_t engine, std::uint32_t group, std::uint32_t upstream) const;

  // The process is dead: its open requests end with nobody to tell.
  void client_died(std::uint32_t client);
  // It writes where it should not. What it is told does not count, and what it sends may be anything.
  void distrust(std::uint32_t client);
  [[nodiscard]] bool has_distrusted() const { return !distrusted_.empty(); }

  // In the end: everything has ended.
  void check_all_ended() const;

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::size_t open_count() const { return open_; }
  // By outcome, of those that were told to a caller.
  [[nodiscard]] const std::array<std::uint64_t, 4>& told() const { return told_; }
  [[nodiscard]] const std::array<std::uint64_t, shm::kReasonCount>& reasons() const { return reasons_; }
  // True when an entry with that number was written.
  [[nodiscard]] bool knows(std::uint64_t number) const { return number >= 1 && number <= entries_.size(); }

 private:
  struct Entry : NewEntry {
    shm::Outcome outcome = shm::Outcome::none;
    shm::Reason reason = shm::Reason::none;
    bool caller_died = false;
    bool is_late = false;           // its late answer was delivered
    Verdict orphan;                 // what its group was told
    std::uint64_t orphan_with = 0;  // the opening that has it; 0: nobody has, or had and is gone
    std::uint64_t late_with = 0;
    Offer offer;                          // the last
    std::set<std::uint64_t> connections;  // on which it was started
    std::uint32_t heard = 0;
    std::uint64_t answer_with = 0;  // the request that has got the answer to this one
  };

  Entry& at(std::uint64_t number) { return entries_[number - 1]; }
  void check_verdict(std::uint64_t number, const Entry& entry, const Verdict& verdict,
                     std::span<const std::byte> answer);
  void check_answer(std::uint64_t number, const Entry& entry, std::span<const std::byte> answer);
  void check_mistaken(std::uint64_t number, const Entry& entry, std::uint64_t answered,
                      std::span<const std::byte> answer);
  void give_answer(std::uint64_t answered, std::uint64_t to);
  [[nodiscard]] bool may_get_answer_of(std::uint64_t number, std::uint64_t earlier) const;
  [[nodiscard]] bool was_key_free(std::uint64_t number, std::uint64_t at_ns) const;
  static void check_receiver(std::uint64_t number, const Entry& entry, const Receiver& receiver);
  [[nodiscard]] bool is_distrusted(const Entry& entry) const { return distrusted_.contains(entry.client); }
  [[noreturn]] static void object(std::uint64_t number, const Entry& entry, const std::string& what);

  std::vector<Entry> entries_;
  std::set<std::uint64_t> liars_;  // connections
  std::set<std::uint32_t> upstreams_of_liars_;
  std::set<std::uint32_t> distrusted_;
  std::map<std::uint32_t, std::uint64_t> late_answer_ns_min_;       // by upstream
  std::map<std::uint64_t, std::set<std::uint64_t>> host_messages_;  // connections by digest
  std::size_t open_ = 0;
  std::array<std::uint64_t, 4> told_{};
  std::array<std::uint64_t, shm::kReasonCount> reasons_{};
};

}  // namespace tlsmux::simulation
