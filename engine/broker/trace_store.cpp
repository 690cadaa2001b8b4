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

#include "shm/unique_fd.hpp"

namespace tlsmux::engine::broker {
namespace {

using shm::SystemError;

constexpr std::int64_t kDayS = 24 * 60 * 60;
constexpr std::string_view kHead = "tlsmux trace numbers, next: ";  // then the number and a line end
constexpr std::size_t kFileBytesMax = 64;
constexpr std::uint32_t kLargeRound = 100'000;  // numbers: three quarters of it last for more than a minute

// The number at which the round goes on. Nothing: no file, or not one of ours.
std::expected<std::optional<std::uint32_t>, SystemError> read_next(int folder, const std::string& name) {
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
  std::string_view text(bytes.data(), static_cast<std::size_t>(size));
  if (!text.starts_with(kHead) || !text.ends_with('\n')) return std::nullopt;
  text.remove_prefix(kHead.size());
  text.remove_suffix(1);
  std::uint32_t next = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), next);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return next;
}

std::expected<void, SystemError> write_next(int folder, const std::string& name, std::uint32_t next) {
  const auto fresh = name + ".new";
  if (::unlinkat(folder, fresh.c_str(), 0) != 0 && errno != ENOENT) {
    return std::unexpected(shm::last_error("removing " + fresh));
  }
  const shm::UniqueFd file(
      ::openat(folder, fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file) return std::unexpected(shm::last_error("making " + fresh));
  const auto text = std::string(kHead) + std::to_string(next) + "\n";
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
                                                                     std::uint32_t blocks, bool first_of_engine,
                                                                     std::int64_t now_s) {
  const shm::UniqueFd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return std::unexpected(shm::last_error("opening the folder " + folder_));
  const auto name = upstream + ".trace";
  const auto next = read_next(folder.get(), name);
  if (!next) return std::unexpected(next.error());

  const auto count = trace_block_count(settings);
  auto first = *next ? block_from(settings, **next) : block_of_time(count, now_s);
  const bool large = settings.last - settings.first >= kLargeRound;
  if (first_of_engine && large && first >= count - count / 4) first = 0;
  const TraceChunk chunk{.first = first, .count = std::min(blocks, count - first)};
  const auto end = first + chunk.count;
  const auto next_number = end < count ? trace_block(settings, end).first : settings.first;
  if (auto written = write_next(folder.get(), name, next_number); !written) return std::unexpected(written.error());
  return Reserved{.chunk = chunk, .began_anew = !*next};
}

std::string state_folder(const config::EngineSettings& engine) {
  if (!engine.state_directory.empty()) return engine.state_directory;
  return std::filesystem::path(engine.control_socket).parent_path().string();
}

}  // namespace tlsmux::engine::broker
