#include "engine/broker/trace_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "shm/unique_fd.hpp"

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
    if (ranges.count == kTraceRangesMax || !take(text, ranges.ranges[ranges.count++])) return false;
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
std::expected<std::optional<Record>, SystemError> read_record(int folder, const std::string& name) {
  const shm::UniqueFd file(::openat(folder, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!file) {
    if (errno == ENOENT || errno == ELOOP) return std::nullopt;
    return std::unexpected(shm::last_error("opening " + name));
  }
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return std::unexpected(shm::last_error("looking at " + name));
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 022) != 0) return std::nullopt;

  std::array<char, kFileBytesMax> bytes{};
  const auto size = ::read(file.get(), bytes.data(), bytes.size());
  if (size < 0) return std::unexpected(shm::last_error("reading " + name));
  return parse({bytes.data(), static_cast<std::size_t>(size)});
}

std::expected<void, SystemError> write_record(int folder, const std::string& name, const Record& record) {
  const auto fresh = name + ".new";
  if (::unlinkat(folder, fresh.c_str(), 0) != 0 && errno != ENOENT) {
    return std::unexpected(shm::last_error("removing " + fresh));
  }
  const shm::UniqueFd file(
      ::openat(folder, fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file) return std::unexpected(shm::last_error("making " + fresh));
  const auto text = to_text(record);
  errno = ENOSPC;  // of a short write
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return std::unexpected(shm::last_error("writing " + fresh));
  }
  // In this order: neither half a file nor the old one may be found after a power cut.
  if (::fsync(file.get()) != 0) return std::unexpected(shm::last_error("writing " + fresh));
  if (::renameat(folder, fresh.c_str(), folder, name.c_str()) != 0) {
    return std::unexpected(shm::last_error("moving " + fresh + " into place"));
  }
  if (::fsync(folder) != 0) return std::unexpected(shm::last_error("writing the folder of " + name));
  return {};
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
  const shm::UniqueFd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return std::unexpected(shm::last_error("opening the folder " + folder_));
  const auto name = upstream + ".trace";
  const auto written = read_record(folder.get(), name);
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
  if (auto done = write_record(folder.get(), name, record); !done) return std::unexpected(done.error());
  next_[upstream] = record.next;
  return reserved;
}

std::string state_folder(const config::EngineSettings& engine) {
  if (!engine.state_directory.empty()) return engine.state_directory;
  return std::filesystem::path(engine.control_socket).parent_path().string();
}

}  // namespace tlsmux::engine::broker
