#include "tests/simulation/stream_ledger.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "config/leases.hpp"
#include "tests/simulation/message.hpp"

namespace tlsmux::simulation {

using shm::Outcome;
using shm::Reason;

namespace {

constexpr std::size_t kHeaderBytes = sizeof(shm::StreamRecordHeader);
constexpr std::size_t kReadAtOnceMax = 4096;

shm::StreamRecordHeader header_of(std::span<const std::byte> record) {
  shm::StreamRecordHeader header;
  std::memcpy(&header, record.data(), sizeof header);
  return header;
}

}  // namespace

void StreamStatistics::add(const StreamStatistics& other) {
  opened += other.opened;
  turned_away += other.turned_away;
  refused += other.refused;
  closed += other.closed;
  lost += other.lost;
  lost_not_sent += other.lost_not_sent;
  left += other.left;
  answers += other.answers;
  bytes += other.bytes;
  reused += other.reused;
}

void StreamLedger::object(std::uint64_t stream, const Entry& entry, const std::string& what) {
  throw Violation("stream " + std::to_string(stream) + " (upstream " + std::to_string(entry.upstream) + "): " + what);
}

std::uint64_t StreamLedger::open(const NewStreamEntry& given) {
  const auto number = entries_.size() + 1;
  auto& entry = entries_[number];
  static_cast<NewStreamEntry&>(entry) = given;
  return number;
}

void StreamLedger::decide(std::uint64_t number, const config::UpstreamSettings& present) {
  auto& entry = at(number);
  entry.is_leased = config::leases_sessions(present);
  entry.is_in_turn = present.streams.order == config::StreamOrder::as_asked;
  if (config::cuts_messages(present.framing.kind)) {
    entry.framing = std::make_unique<engine::message::Framing>(present.framing);
  }
  if (entry.is_leased) {
    leases_->opened(number, entry.upstream);
  } else {
    entry.cutter = std::make_unique<engine::message::FrameCutter>(*entry.framing);
  }
}

void StreamLedger::turned_away(std::uint64_t stream) {
  ++statistics_.turned_away;
  if (at(stream).must_succeed) object(stream, at(stream), "all was well, but there was no room for it");
  left(stream);
}

// ---- The process ----

void StreamLedger::composed(std::uint64_t stream, std::uint64_t number, std::span<const std::byte> framed) {
  auto& entry = at(stream);
  if (entry.is_leased) return leases_->composed(stream, framed);
  entry.written += framed.size();
  if (number == 0) return;
  // An engine that stops has closed it, and its process does not know yet.
  if (entry.has_left) return ledger_->client_died(asker_of(stream));
  entry.asked.push_back(number);
  entry.ends.push_back(entry.written);
}

void StreamLedger::left(std::uint64_t stream) {
  auto& entry = at(stream);
  if (std::exchange(entry.has_left, true)) return;
  if (entry.is_leased) leases_->left(stream);
  if (entry.last) return;
  if (entry.must_succeed && !is_satisfied(stream)) object(stream, entry, "all was well, but no answer");
  ++statistics_.left;
  if (!entry.is_leased) ledger_->client_died(asker_of(stream));
  entry.asked.clear();
}

void StreamLedger::engine_died(std::uint64_t stream) {
  auto& entry = at(stream);
  for (const auto number : entry.asked) ledger_->ended(number, Outcome::maybe_sent, Reason::engine_died, {});
  entry.asked.clear();
  entry.must_succeed = false;
  left(stream);
}

bool StreamLedger::is_satisfied(std::uint64_t stream) const {
  const auto& entry = at(stream);
  return entry.is_leased ? leases_->is_satisfied(stream) : entry.asked.empty();
}

// ---- The engine's end ----

// What it may have read without having given the answers: messages in flight, what one piece held beyond these, and what
// stands in the output.
void StreamLedger::check_may_receive(std::uint64_t stream) const {
  const auto& entry = at(stream);
  if (entry.is_leased || entry.has_left || entry.last) return;
  const auto& settings = config_->upstreams[entry.upstream];
  const auto answer_bytes_min = settings.correlation.offset + kAnswerBytesMin;
  const auto answer_bytes_max = settings.framing.message_bytes_max + 16;
  // Limits rise in a run, by a few each time.
  const auto in_flight = settings.streams.in_flight_max + 100;
  const auto waiting = (settings.streams.buffer_bytes + 10'000 + in_flight * answer_bytes_max) / answer_bytes_min;
  const auto kept = kReadAtOnceMax / (settings.correlation.offset + kRequestBytesMin) + 1;
  const auto read = static_cast<std::size_t>(std::ranges::upper_bound(entry.ends, entry.read) - entry.ends.begin());
  if (read > entry.answered + in_flight + waiting + kept) object(stream, entry, "the engine keeps too much of it");
}

void StreamLedger::engine_closes(std::uint64_t stream) const {
  const auto& entry = at(stream);
  if (!entry.last && !entry.has_left) object(stream, entry, "its socket is closed without a word");
  if (!entry.has_left && !entry.head.empty()) object(stream, entry, "its socket is closed within a record");
}

void StreamLedger::came_down(std::uint64_t stream, std::span<const std::byte> bytes) {
  auto& entry = at(stream);
  if (entry.has_left) return;
  while (!bytes.empty()) {
    const auto take = [&](std::size_t most) {
      const auto piece = bytes.first(std::min(most, bytes.size()));
      bytes = bytes.subspan(piece.size());
      return piece;
    };
    if (entry.data_left > 0) {
      const auto piece = take(entry.data_left);
      entry.data_left -= piece.size();
      take_data(stream, entry, piece);
      continue;
    }
    const auto wanted =
        entry.head.size() < kHeaderBytes ? kHeaderBytes : kHeaderBytes + shm::bytes_of(header_of(entry.head));
    const auto piece = take(wanted - entry.head.size());
    entry.head.insert(entry.head.end(), piece.begin(), piece.end());
    if (entry.head.size() >= kHeaderBytes) take_record(stream, entry);
  }
}

// Whose header is there.
void StreamLedger::take_record(std::uint64_t stream, Entry& entry) {
  const auto header = header_of(entry.head);
  const auto type = shm::type_of(header);
  const bool is_lost_half = entry.last == Type::closed && type == Type::lost && entry.is_leased;
  if (entry.last && !is_lost_half) object(stream, entry, "a record stands behind its last one");
  const bool is_first = type == Type::opened || type == Type::refused;
  if (is_first == entry.is_opened) object(stream, entry, "it is opened twice, or not at all");
  if (type == Type::data) {
    // Which asks a TCP socket whether its process is still there.
    const bool may_be_empty = entry.is_leased && entry.has_finished && !entry.tells_hang_up;
    if (shm::bytes_of(header) == 0 && !may_be_empty) object(stream, entry, "a data record without data");
    entry.data_left = shm::bytes_of(header);
    return entry.head.clear();
  }
  if (entry.head.size() < kHeaderBytes + shm::bytes_of(header)) return;
  switch (type) {
    case Type::opened:
      entry.is_opened = true;
      ++statistics_.opened;
      break;
    case Type::closed: take_closed(stream, entry); break;
    case Type::lost:
    case Type::refused: take_end(stream, entry, type); break;
    default: object(stream, entry, "a record of no type");
  }
  entry.head.clear();
}

void StreamLedger::take_data(std::uint64_t stream, Entry& entry, std::span<const std::byte> bytes) {
  statistics_.bytes += bytes.size();
  if (entry.is_leased) return leases_->delivered(stream, bytes);
  const auto cut = entry.cutter->feed(
      bytes, [&](const engine::message::Frame& frame) { take_answer(stream, entry, frame.message); });
  if (!cut) object(stream, entry, "its answers are framed wrongly");
}

void StreamLedger::take_answer(std::uint64_t stream, Entry& entry, std::span<const std::byte> message) {
  ++statistics_.answers;
  ++entry.answered;
  if (entry.asked.empty()) object(stream, entry, "it gets an answer too many");
  const auto key_offset = config_->upstreams[entry.upstream].correlation.offset;
  const auto number = number_in(message, key_offset);
  auto found = number ? std::ranges::find(entry.asked, *number) : entry.asked.end();
  const auto is_mixed_up = [this](auto each) { return ledger_->may_be_mixed_up(each); };
  // What has been heard is more likely to be meant than what may still wait.
  auto first_mixed_up =
      std::ranges::find_if(entry.asked, [&](auto each) { return is_mixed_up(each) && ledger_->is_heard(each); });
  if (first_mixed_up == entry.asked.end()) first_mixed_up = std::ranges::find_if(entry.asked, is_mixed_up);
  if (first_mixed_up != entry.asked.end() && (entry.is_in_turn || found == entry.asked.end())) {
    found = entry.is_in_turn ? entry.asked.begin() : first_mixed_up;
  }
  if (found == entry.asked.end()) object(stream, entry, "it gets an answer that is not its own");
  if (entry.is_in_turn && found != entry.asked.begin()) object(stream, entry, "its answers are out of order");
  const auto asked = *found;
  entry.asked.erase(found);
  ledger_->ended(asked, Outcome::answered, Reason::none, message);
}

void StreamLedger::take_closed(std::uint64_t stream, Entry& entry) {
  entry.last = Type::closed;
  ++statistics_.closed;
  if (entry.is_leased) return leases_->closed(stream, entry.has_finished, !entry.tells_hang_up);
  if (!entry.has_finished) object(stream, entry, "it is closed, but its process may still write");
  if (!entry.asked.empty()) object(stream, entry, "it is closed before all is answered");
  if (!entry.cutter->at_boundary()) object(stream, entry, "it is closed within an answer");
}

void StreamLedger::take_end(std::uint64_t stream, Entry& entry, Type type) {
  if (entry.head.size() != kHeaderBytes + sizeof(shm::StreamLost)) object(stream, entry, "a record of a wrong length");
  shm::StreamLost end;
  std::memcpy(&end, entry.head.data() + kHeaderBytes, sizeof end);
  const auto reason = static_cast<Reason>(end.reason);
  const bool maybe_sent = end.maybe_sent != 0;
  if (reason == Reason::none || end.text[0] == '\0') object(stream, entry, "it ends without a reason");
  if (entry.must_succeed && !is_satisfied(stream)) {
    object(stream, entry,
           "all was well, but it ends with " + std::string(shm::reason_name(reason)) + leases_->describe(stream));
  }
  if (type == Type::refused && maybe_sent) object(stream, entry, "it is refused, and something may have been sent");
  if (!entry.last) ++(type == Type::lost ? statistics_.lost : statistics_.refused);
  if (type == Type::lost && !maybe_sent) ++statistics_.lost_not_sent;
  entry.last = type;
  if (entry.is_leased) return leases_->lost(stream, reason, maybe_sent);
  for (const auto number : std::exchange(entry.asked, {})) {
    ledger_->ended(number, maybe_sent ? Outcome::maybe_sent : Outcome::not_sent, reason, {});
  }
}

StreamStatistics StreamLedger::statistics() const {
  auto all = statistics_;
  all.reused = leases_->reused();
  return all;
}

}  // namespace tlsmux::simulation
