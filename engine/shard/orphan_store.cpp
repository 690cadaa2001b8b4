#include "engine/shard/orphan_store.hpp"

#include <algorithm>

#include "shm/assert.hpp"
#include "shm/shared_copy.hpp"

namespace tlsmux::engine {
namespace {

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr std::uint64_t kNanosecondsPerMillisecond = 1'000'000;

tls::SecretBytes copy_of(std::span<const std::byte> bytes) {
  tls::SecretBytes copy(bytes.size());
  shm::copy_bytes(copy.bytes(), bytes);
  return copy;
}

// Given up while its session lives on: the multiplexer keeps its key. After a lost session nothing comes any more.
bool may_be_answered_late(shm::Reason reason) {
  return reason == shm::Reason::deadline || reason == shm::Reason::cancelled;
}

}  // namespace

OrphanId OrphanStore::open(Lane lane, std::uint64_t tag, std::span<const std::byte> request) {
  return enter(lane, tag, copy_of(request));
}

OrphanId OrphanStore::enter(Lane lane, std::uint64_t tag, tls::SecretBytes request) {
  if (!make_room(lane)) return 0;
  const auto id = ++last_id_;
  auto& entry = entries_[id];
  entry.orphan.lane = lane;
  entry.orphan.tag = tag;
  entry.orphan.request = std::move(request);
  ++held_[lane.group];
  ++counts_[lane].held;
  changed_.insert(lane);
  return id;
}

void OrphanStore::answer(OrphanId id, std::span<const std::byte> answer) {
  auto* const entry = find_open(id);
  if (entry == nullptr) return;
  entry->orphan.outcome = shm::Outcome::answered;
  entry->orphan.answer = copy_of(answer);
  wait(id, *entry);
}

void OrphanStore::refuse(OrphanId id, const mux::Refusal& refusal) {
  auto* const entry = find_open(id);
  if (entry == nullptr) return;
  entry->orphan.outcome = shm::Outcome::not_sent;
  entry->orphan.reason = refusal.reason;
  entry->orphan.error_field = refusal.error_field;
  entry->orphan.error_offset = refusal.error_offset;
  wait(id, *entry);
}

void OrphanStore::lose(OrphanId id, shm::Reason reason) {
  auto* const entry = find_open(id);
  if (entry == nullptr) return;
  entry->orphan.outcome = shm::Outcome::maybe_sent;
  entry->orphan.reason = reason;
  if (may_be_answered_late(reason)) {
    const auto& timeouts = config_->upstreams[entry->orphan.lane.upstream].timeouts;
    entry->late_until_ns = now_ns_ + timeouts.late_answer_ms * kNanosecondsPerMillisecond;
  }
  wait(id, *entry);
}

void OrphanStore::late(OrphanId id, Lane lane, std::uint64_t tag, std::span<const std::byte> answer) {
  auto request = memory_.take(id);
  const auto original = entries_.find(id);
  if (original != entries_.end()) {
    // A copy: the original may have to make room.
    request = copy_of(std::as_const(original->second.orphan.request).bytes());
    original->second.late_until_ns = 0;
  }
  const auto late_id = enter(lane, tag, std::move(request));
  if (late_id == 0) return;
  auto& entry = entries_.at(late_id);
  entry.orphan.kind = shm::NoticeKind::late;
  entry.orphan.answer = copy_of(answer);
  wait(late_id, entry);
}

OrphanId OrphanStore::next(Lane lane) const {
  const auto line = waiting_.find(lane);
  return line == waiting_.end() || line->second.empty() ? 0 : line->second.begin()->second;
}

void OrphanStore::deliver(OrphanId id) {
  auto& entry = entries_.at(id);
  TMX_ASSERT(entry.state == State::waiting);
  entry.state = State::delivered;
  waiting_[entry.orphan.lane].erase({entry.ended_ns, id});
  --counts_[entry.orphan.lane].waiting;
  changed_.insert(entry.orphan.lane);
}

void OrphanStore::take_back(OrphanId id) {
  const auto found = entries_.find(id);
  if (found != entries_.end() && found->second.state == State::delivered) wait(id, found->second);
}

void OrphanStore::release(OrphanId id) {
  const auto found = entries_.find(id);
  if (found == entries_.end() || found->second.state != State::delivered) return;
  const auto group = found->second.orphan.lane.group;
  const auto late_until_ns = found->second.late_until_ns;
  auto request = std::move(found->second.orphan.request);
  forget(id);
  if (late_until_ns > now_ns_) memory_.keep(id, group, std::move(request), late_until_ns);
}

void OrphanStore::apply_settings() {
  held_.resize(config_->groups.size());
  for (std::uint32_t group = 0; group < held_.size(); ++group) {
    const auto count_max = config_->groups[group].orphans.count_max;
    while (held_[group] + memory_.count(group) > count_max && memory_.count(group) > 0) memory_.drop_first(group);
    while (held_[group] > count_max) {
      const auto* const line = oldest_line(group);
      if (line == nullptr) break;  // the rest is in flight or in a subscriber's hands
      drop(line->begin()->second, false);
    }
  }
  if (!waiting_.empty()) due_ns_ = std::max<std::uint64_t>(now_ns_, 1);  // by another age, perhaps
}

std::map<std::uint32_t, std::uint32_t> OrphanStore::remove_group(std::uint32_t group) {
  std::map<std::uint32_t, std::uint32_t> dropped;
  for (const auto& [id, entry] : entries_) {
    if (entry.orphan.lane.group == group) ++dropped[entry.orphan.lane.upstream];
  }
  const auto is_of_group = [&](const auto& each) { return each.first.group == group; };
  std::erase_if(entries_, [&](const auto& each) { return each.second.orphan.lane.group == group; });
  std::erase_if(waiting_, is_of_group);
  std::erase_if(counts_, is_of_group);
  held_[group] = 0;
  memory_.drop_group(group);
  return dropped;
}

void OrphanStore::tick() {
  memory_.tick(now_ns_);
  if (due_ns_ == 0 || now_ns_ < due_ns_) return;
  std::uint64_t due_ns = 0;
  for (auto& [lane, line] : waiting_) {
    while (!line.empty() && line.begin()->first + age_max_ns(lane.group) <= now_ns_) drop(line.begin()->second, true);
    if (line.empty()) continue;
    const auto next_ns = line.begin()->first + age_max_ns(lane.group);
    due_ns = due_ns == 0 ? next_ns : std::min(due_ns, next_ns);
  }
  due_ns_ = due_ns;
}

std::uint64_t OrphanStore::next_due_ns() const {
  const auto forgotten_ns = memory_.next_due_ns();
  return due_ns_ == 0 || forgotten_ns == 0 ? std::max(due_ns_, forgotten_ns) : std::min(due_ns_, forgotten_ns);
}

OrphanCounts OrphanStore::counts(Lane lane) const {
  const auto found = counts_.find(lane);
  return found == counts_.end() ? OrphanCounts{} : found->second;
}

bool OrphanStore::is_full(std::uint32_t group) const {
  return held_[group] + memory_.count(group) >= config_->groups[group].orphans.count_max;
}

// What is only remembered makes room, then the oldest that waits. What is in flight or in a subscriber's hands stays.
bool OrphanStore::make_room(Lane lane) {
  while (is_full(lane.group) && memory_.count(lane.group) > 0) memory_.drop_first(lane.group);
  if (!is_full(lane.group)) return true;
  const auto* const line = oldest_line(lane.group);
  if (line == nullptr || config_->groups[lane.group].orphans.count_max == 0) {
    count_drop(lane, false);
    return false;
  }
  drop(line->begin()->second, false);
  return true;
}

const OrphanStore::Waiting* OrphanStore::oldest_line(std::uint32_t group) const {
  const Waiting* oldest = nullptr;
  for (auto each = waiting_.lower_bound({.group = group}); each != waiting_.end(); ++each) {
    if (each->first.group != group) break;
    const auto& line = each->second;
    if (!line.empty() && (oldest == nullptr || *line.begin() < *oldest->begin())) oldest = &line;
  }
  return oldest;
}

void OrphanStore::drop(OrphanId id, bool too_old) {
  count_drop(entries_.at(id).orphan.lane, too_old);
  forget(id);
}

void OrphanStore::count_drop(Lane lane, bool too_old) {
  ++counts_[lane].dropped;
  ++drops_[{.lane = lane, .too_old = too_old}];
  changed_.insert(lane);
}

void OrphanStore::forget(OrphanId id) {
  const auto found = entries_.find(id);
  const auto& entry = found->second;
  const auto lane = entry.orphan.lane;
  auto& counts = counts_[lane];
  if (entry.state == State::waiting) {
    waiting_[lane].erase({entry.ended_ns, id});
    --counts.waiting;
  }
  --counts.held;
  --held_[lane.group];
  changed_.insert(lane);
  entries_.erase(found);
}

OrphanStore::Entry* OrphanStore::find_open(OrphanId id) {
  const auto found = entries_.find(id);
  return found == entries_.end() || found->second.state != State::open ? nullptr : &found->second;
}

// Its age counts from its end, also when it has been with a subscriber since.
void OrphanStore::wait(OrphanId id, Entry& entry) {
  if (entry.ended_ns == 0) entry.ended_ns = now_ns_;
  entry.state = State::waiting;
  const auto lane = entry.orphan.lane;
  waiting_[lane].insert({entry.ended_ns, id});
  ++counts_[lane].waiting;
  changed_.insert(lane);
  fresh_.insert(lane);
  const auto too_old_ns = entry.ended_ns + age_max_ns(lane.group);
  due_ns_ = due_ns_ == 0 ? too_old_ns : std::min(due_ns_, too_old_ns);
}

std::uint64_t OrphanStore::age_max_ns(std::uint32_t group) const {
  return config_->groups[group].orphans.age_max_s * kNanosecondsPerSecond;
}

}  // namespace tlsmux::engine
