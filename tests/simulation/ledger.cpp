#include "tests/simulation/ledger.hpp"

#include <algorithm>

#include "tests/simulation/message.hpp"

namespace tlsmux::simulation {

using shm::Outcome;
using shm::Reason;

namespace {

// Reasons that only the loss of a session on which the request was sent can give.
bool is_loss(Reason reason) {
  switch (reason) {
    case Reason::host_closed:
    case Reason::connection_lost:
    case Reason::write_stalled:
    case Reason::stream_corrupt:
    case Reason::record_corrupt:
    case Reason::reply_sent:
    case Reason::host_silent:
    case Reason::upstream_draining:
    case Reason::engine_draining: return true;
    default: return false;
  }
}

std::vector<std::byte> text_of(std::uint64_t number, const NewEntry& entry) {
  std::vector<std::byte> text(entry.length);
  write_request(text, {.number = number, .key = entry.key, .key_offset = entry.key_offset, .length = entry.length});
  return text;
}

}  // namespace

void Ledger::object(std::uint64_t number, const Entry& entry, const std::string& what) {
  throw Violation("request " + std::to_string(number) + " (client " + std::to_string(entry.client) + ", upstream " +
                  std::to_string(entry.upstream) + ", " + std::string(shm::outcome_name(entry.outcome)) + " " +
                  std::string(shm::reason_name(entry.reason)) + "): " + what);
}

std::vector<std::byte> Ledger::text(std::uint64_t number) const { return text_of(number, entries_[number - 1]); }

std::uint64_t Ledger::submit(const NewEntry& entry) {
  entries_.emplace_back();
  static_cast<NewEntry&>(entries_.back()) = entry;
  if (!is_distrusted(entries_.back())) ++open_;
  return entries_.size();
}

void Ledger::late_answers_within(std::uint32_t upstream, std::uint32_t late_answer_ms) {
  const std::uint64_t within_ns = std::uint64_t{late_answer_ms} * 1'000'000;
  auto& least = late_answer_ns_min_.try_emplace(upstream, within_ns).first->second;
  least = std::min(least, within_ns);
}

void Ledger::offered(std::uint64_t number, const Offer& offer) {
  auto& entry = at(number);
  entry.offer = offer;
  entry.in_order = offer.in_order;
}

void Ledger::started(std::uint64_t number, std::uint64_t connection) {
  auto& entry = at(number);
  if (is_distrusted(entry)) return;
  entry.connections.insert(connection);
  if (entry.outcome == Outcome::not_sent) object(number, entry, "its bytes reach the wire after all");
  if (entry.connections.size() > 1) object(number, entry, "it is sent on two connections");
  if (entry.orphan.outcome == Outcome::not_sent) object(number, entry, "its bytes reach the wire after all");
  if (!entry.reply_connections.empty() && !entry.reply_connections.contains(connection)) {
    object(number, entry, "a reply goes to another connection than its message came from");
  }
}

void Ledger::heard(std::uint64_t number, std::span<const std::byte> message) {
  auto& entry = at(number);
  if (is_distrusted(entry)) return;
  ++entry.heard;
  if (entry.outcome == Outcome::not_sent) object(number, entry, "a host has received it");
  if (entry.heard > 1) object(number, entry, "hosts have received it twice");
  if (!std::ranges::equal(message, text_of(number, entry))) object(number, entry, "a host has received other bytes");
}

void Ledger::ended(std::uint64_t number, Outcome outcome, Reason reason, std::span<const std::byte> answer) {
  auto& entry = at(number);
  if (is_distrusted(entry)) return;
  if (entry.outcome != Outcome::none) {
    object(number, entry, "it ends again, as " + std::string(shm::outcome_name(outcome)));
  }
  entry.outcome = outcome;
  entry.reason = reason;
  --open_;
  ++told_[static_cast<std::size_t>(outcome)];
  ++reasons_[static_cast<std::size_t>(reason)];
  check_verdict(number, entry, {outcome, reason}, answer);
  if (outcome == Outcome::answered && entry.is_late) object(number, entry, "its answer came late as well");
  // Where order tells, an answer too many may be found out only now, behind the answers to all other requests.
  const bool is_found_out =
      reason == Reason::stream_corrupt && entry.in_order && upstreams_of_liars_.contains(entry.upstream);
  if (entry.must_be_answered && outcome != Outcome::answered && !is_found_out) {
    object(number, entry, "all was well, but no answer");
  }
}

void Ledger::check_verdict(std::uint64_t number, const Entry& entry, const Verdict& verdict,
                           std::span<const std::byte> answer) {
  switch (verdict.outcome) {
    case Outcome::answered: check_answer(number, entry, answer); break;
    case Outcome::not_sent:
      if (!entry.connections.empty()) object(number, entry, "its bytes had reached the wire");
      break;
    case Outcome::maybe_sent:
      if (is_loss(verdict.reason) && entry.connections.empty() && !entry.is_of_stream)
        object(number, entry, "no byte of it had left");
      break;
    case Outcome::none: object(number, entry, "it ended without an outcome");
  }
  if ((verdict.reason == Reason::none) != (verdict.outcome == Outcome::answered)) {
    object(number, entry, "its reason makes no sense");
  }
}

// ---- Notices ----

void Ledger::check_receiver(std::uint64_t number, const Entry& entry, const Receiver& receiver) {
  if (entry.group != receiver.group) object(number, entry, "a foreign group hears of it");
  if (entry.upstream != receiver.upstream) object(number, entry, "a channel to another upstream hears of it");
  if (entry.is_reply) object(number, entry, "a notice speaks of a reply");
}

// Once there is a client that may write anything, tags and bytes prove nothing.
void Ledger::late(std::uint64_t number, const Receiver& receiver, std::span<const std::byte> answer) {
  if (has_distrusted()) return;
  if (!knows(number)) throw Violation("a late answer to nobody's request");
  auto& entry = at(number);
  check_receiver(number, entry, receiver);
  check_answer(number, entry, answer);
  if (entry.outcome == Outcome::answered || entry.orphan.outcome == Outcome::answered) {
    object(number, entry, "it was answered, and is answered again");
  }
  if (entry.is_late && (entry.late_with != 0 || !entry.caller_died))
    object(number, entry, "its late answer comes twice");
  entry.is_late = true;
  entry.late_with = receiver.opening;
}

void Ledger::orphaned(std::uint64_t number, const Receiver& receiver, const Verdict& verdict,
                      std::span<const std::byte> request, std::span<const std::byte> answer) {
  if (has_distrusted()) return;
  if (!knows(number)) throw Violation("an orphan of nobody");
  auto& entry = at(number);
  check_receiver(number, entry, receiver);
  if (entry.is_of_stream) object(number, entry, "it is given to others, and was a stream's");
  if (!entry.caller_died) object(number, entry, "it is given to others, but its process knows how it ended");
  if (entry.orphan_with != 0) object(number, entry, "it is given to two subscribers");
  if (entry.orphan.outcome != Outcome::none && entry.orphan != verdict) object(number, entry, "it ends in another way");
  if (!std::ranges::equal(request, text_of(number, entry))) object(number, entry, "its bytes have changed");
  check_verdict(number, entry, verdict, answer);
  entry.orphan = verdict;
  entry.orphan_with = receiver.opening;
}

void Ledger::closed(std::uint64_t opening) {
  for (auto& entry : entries_) {
    if (entry.orphan_with == opening) entry.orphan_with = 0;
    if (entry.late_with == opening) entry.late_with = 0;
  }
}

void Ledger::host_said(std::uint64_t connection, std::span<const std::byte> message) {
  host_messages_[digest_of(message)].insert(connection);
}

std::set<std::uint64_t> Ledger::connections_of(std::span<const std::byte> message) const {
  const auto found = host_messages_.find(digest_of(message));
  return found == host_messages_.end() ? std::set<std::uint64_t>{} : found->second;
}

void Ledger::check_orphans_given(std::uint64_t engine, std::uint32_t group, std::uint32_t upstream) const {
  if (has_distrusted()) return;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const auto& entry = entries_[i];
    const bool concerned = entry.engine == engine && entry.group == group && entry.upstream == upstream;
    if (concerned && entry.caller_died && !entry.is_reply && !entry.is_of_stream &&
        entry.orphan.outcome == Outcome::none) {
      object(i + 1, entry, "its process died, and nobody has got it");
    }
  }
}

void Ledger::check_answer(std::uint64_t number, const Entry& entry, std::span<const std::byte> answer) {
  const auto answered = number_in(answer, entry.key_offset);
  if (!entry.in_order && answered && *answered != number && knows(*answered)) {
    return check_mistaken(number, entry, *answered, answer);
  }
  if (entry.connections.empty()) {
    // A lie may come between the engine's giving it to the kernel and the kernel's accepting it.
    if (entry.in_order && upstreams_of_liars_.contains(entry.upstream)) return;
    object(number, entry, "it is answered, but never left");
  }
  if (entry.in_order && liars_.contains(*entry.connections.begin())) return;
  if (entry.heard == 0) object(number, entry, "it is answered, but no host has heard it");
  if (answered != number) object(number, entry, "it has got another request's answer");
  give_answer(number, number);
  if (digest_in(answer, entry.key_offset) != digest_of(text_of(number, entry))) {
    object(number, entry, "the host has answered to other bytes than the client's");
  }
}

// What has its key and comes on its connection is its answer, for all that an engine can know.
void Ledger::check_mistaken(std::uint64_t number, const Entry& entry, std::uint64_t answered,
                            std::span<const std::byte> answer) {
  if (!may_get_answer_of(number, answered)) object(number, entry, "it has got another request's answer");
  if (digest_in(answer, entry.key_offset) != digest_of(text(answered))) {
    object(answered, at(answered), "the host has answered to other bytes than the client's");
  }
  give_answer(answered, number);
}

void Ledger::give_answer(std::uint64_t answered, std::uint64_t to) {
  auto& entry = at(answered);
  if (entry.answer_with != 0 && entry.answer_with != to) object(answered, entry, "two requests have got its answer");
  entry.answer_with = to;
}

bool Ledger::may_get_answer_of(std::uint64_t number, std::uint64_t earlier) const {
  if (earlier >= number) return false;
  const auto& entry = entries_[number - 1];
  const auto& other = entries_[earlier - 1];
  return entry.upstream == other.upstream && entry.key == other.key && other.heard > 0 &&
         other.connections.contains(entry.offer.connection) &&
         (other.answer_with == 0 || other.answer_with == number) && was_key_free(earlier, entry.offer.at_ns);
}

// It had been given up for long enough; or it had ended with the answer to an earlier one, before its own came.
bool Ledger::was_key_free(std::uint64_t number, std::uint64_t at_ns) const {
  const auto& entry = entries_[number - 1];
  const auto late = late_answer_ns_min_.find(entry.upstream);
  const bool is_known = late != late_answer_ns_min_.end() && entry.deadline_ns <= at_ns;
  if (is_known && at_ns - entry.deadline_ns >= late->second) return true;
  for (std::uint64_t earlier = 1; earlier < number; ++earlier) {
    if (entry.offer.at_ns <= at_ns && may_get_answer_of(number, earlier)) return true;
  }
  return false;
}

bool Ledger::may_be_mixed_up(std::uint64_t number) const {
  const auto& entry = entries_[number - 1];
  if (!entry.in_order) return false;
  // See check_answer().
  if (entry.connections.empty()) return upstreams_of_liars_.contains(entry.upstream);
  return liars_.contains(*entry.connections.begin());
}

void Ledger::lied(std::uint32_t upstream, std::uint64_t connection) {
  liars_.insert(connection);
  upstreams_of_liars_.insert(upstream);
}

void Ledger::client_died(std::uint32_t client) {
  for (auto& entry : entries_) {
    if (entry.client != client || entry.outcome != Outcome::none || entry.caller_died || is_distrusted(entry)) continue;
    entry.caller_died = true;
    --open_;
  }
}

void Ledger::distrust(std::uint32_t client) {
  client_died(client);
  distrusted_.insert(client);
}

void Ledger::check_all_ended() const {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const auto& entry = entries_[i];
    if (entry.outcome == Outcome::none && !entry.caller_died && !is_distrusted(entry)) {
      object(i + 1, entry, "it never ends");
    }
  }
}

}  // namespace tlsmux::simulation
