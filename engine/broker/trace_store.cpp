#include "engine/broker/trace_store.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "shm/system/private_file.hpp"

namespace tlsmux::engine::broker {
namespace {

using shm::SystemError;

constexpr std::int64_t kDayS = 24 * 60 * 60;
// Three lines: the number at which the round goes on, and ranges of numbers, each with a space before it.
constexpr std::string_view kNextWords = "tlsmux trace numbers, next: ";
constexpr std::string_view kHeldWords = "clients may have:";
constexpr std::string_view kKeptWords = "of earlier rounds:";
constexpr std::size_t kFileBytesMax = 2048;

struct Record {
  std::uint32_t next = 0;
  TraceHolds held{};
};

// Takes words off the front of a text. All return false when they are not there.
bool take(std::string_view& text, std::string_view words) {
  if (!text.starts_with(words)) return false;
  text.remove_prefix(words.size());
  return true;
}

bool take(std::string_view& text, std::uint32_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool take(std::string_view& text, TraceRange& range) {
  return take(text, range.first) && take(text, "-") && take(text, range.last);
}

// A line of them.
bool take(std::string_view& text, PackedTraceRanges& ranges) {
  while (take(text, " ")) {
    if (ranges.count == kTraceRangesMax || !take(text, ranges.ranges[ranges.count])) return false;
    ++ranges.count;
  }
  return take(text, "\n");
}

std::optional<Record> parse(std::string_view text) {
  Record record;
  const bool is_whole = take(text, kNextWords) && take(text, record.next) && take(text, "\n") &&
                        take(text, kHeldWords) && take(text, record.held.all) && take(text, kKeptWords) &&
                        take(text, record.held.kept) && text.empty();
  return is_whole && is_sound(record.held) ? std::optional(record) : std::nullopt;
}

std::string to_text(std::string_view words, const PackedTraceRanges& ranges) {
  std::string text(words);
  for (const auto& range : ranges.all()) {
    text += " " + std::to_string(range.first) + "-" + std::to_string(range.last);
  }
  return text + "\n";
}

std::string to_text(const Record& record) {
  return std::string(kNextWords) + std::to_string(record.next) + "\n" + to_text(kHeldWords, record.held.all) +
         to_text(kKeptWords, record.held.kept);
}

// Nothing: no file, or not one of ours.
std::expected<std::optional<Record>, SystemError> read_record(const std::string& path) {
  const auto text = shm::read_private_file(path, kFileBytesMax);
  if (!text && text.error().code != EBADMSG) return std::unexpected(text.error());
  return text && *text ? parse(**text) : std::nullopt;
}

std::uint32_t block_of_time(std::uint32_t blocks, std::int64_t now_s) {
  const auto second = static_cast<std::uint64_t>(((now_s % kDayS) + kDayS) % kDayS);
  return static_cast<std::uint32_t>(second * blocks / (2 * kDayS));
}

// The first whole block from `next` on: another block length than before skips a few numbers and repeats none.
std::uint32_t block_from(const config::TraceNumberSettings& settings, std::uint32_t next) {
  if (next <= settings.first || next > settings.last) return 0;
  const auto block = (next - settings.first + settings.block - 1) / settings.block;
  return block < trace_block_count(settings) ? block : 0;
}

}  // namespace

std::expected<TraceStore::Reserved, SystemError> TraceStore::reserve(const std::string& upstream,
                                                                     const config::TraceNumberSettings& settings,
                                                                     const TraceNeed& need, std::int64_t now_s) {
  const auto path = path_of(folder_, upstream);
  const auto written = read_record(path);
  if (!written) return std::unexpected(written.error());

  Reserved reserved;
  const auto count = trace_block_count(settings);
  const auto known = next_.find(upstream);
  auto& chunk = reserved.reservation.chunk;
  // What this broker knows itself is right, whatever has become of the file.
  if (known != next_.end()) {
    chunk.first = block_from(settings, known->second);
    if (!*written) reserved.memory = TraceMemory::broker;
  } else if (*written) {
    chunk.first = block_from(settings, (*written)->next);
  } else {
    chunk.first = block_of_time(count, now_s);
    reserved.memory = TraceMemory::nowhere;
  }
  chunk.count = std::min(need.blocks, count - chunk.first);
  if (need.begins && *written) reserved.reservation.held = (*written)->held;

  const auto& before = need.begins ? reserved.reservation.held : need.held;
  std::vector<TraceRange> held(before.all.all().begin(), before.all.all().end());
  held.push_back(numbers_of(settings, chunk));
  const auto end = chunk.first + chunk.count;
  const Record record{.next = end < count ? trace_block(settings, end).first : settings.first,
                      .held = {.all = pack(std::move(held)), .kept = before.kept}};
  if (auto done = shm::replace_file(path, to_text(record)); !done) return std::unexpected(done.error());
  next_[upstream] = record.next;
  return reserved;
}

}  // namespace tlsmux::engine::broker
