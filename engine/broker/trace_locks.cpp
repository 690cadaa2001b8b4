#include "engine/broker/trace_locks.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

namespace tlsmux::engine::broker {
namespace {

using shm::SystemError;

constexpr int kAttemptsMax = 16;

bool lock(const shm::UniqueFd& file) {
  struct flock wanted{};
  wanted.l_type = F_WRLCK;
  wanted.l_whence = SEEK_SET;
  return ::fcntl(file.get(), F_OFD_SETLK, &wanted) == 0;
}

// The name may lead to another file by now: the one before us removed its own while we opened it.
bool is_still_named(const std::string& path, const shm::UniqueFd& file) {
  struct stat held{};
  struct stat named{};
  return ::fstat(file.get(), &held) == 0 && ::lstat(path.c_str(), &named) == 0 && held.st_dev == named.st_dev &&
         held.st_ino == named.st_ino;
}

SystemError busy(const std::string& path, const shm::UniqueFd& file) {
  std::array<char, 16> text{};
  const auto size = ::pread(file.get(), text.data(), text.size(), 0);
  pid_t pid = 0;
  if (size > 0) std::from_chars(text.data(), text.data() + size, pid);
  return {.code = EBUSY,
          .message = path + " is locked by another tlsmuxd" + (pid > 0 ? " (pid " + std::to_string(pid) + ")" : "") +
                     ", which counts these trace numbers"};
}

// For a message only: what cannot be written is done without.
void name_holder(const shm::UniqueFd& file) {
  const auto text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(file.get(), 0) != 0) return;
  [[maybe_unused]] const auto written = ::pwrite(file.get(), text.data(), text.size(), 0);
}

}  // namespace

TraceLocks::~TraceLocks() {
  for (const auto& [path, file] : taken_) ::unlink(path.c_str());  // before another can lock it
}

std::expected<void, SystemError> TraceLocks::take(const std::string& path) {
  const auto name = path + ".lock";
  if (taken_.contains(name)) return {};
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    shm::UniqueFd file(::open(name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!file) return std::unexpected(shm::last_error("opening " + name));
    if (!lock(file)) {
      if (errno != EAGAIN && errno != EACCES) return std::unexpected(shm::last_error("locking " + name));
      return std::unexpected(busy(name, file));
    }
    if (!is_still_named(name, file)) continue;
    name_holder(file);
    taken_.emplace(name, std::move(file));
    return {};
  }
  return std::unexpected(SystemError{.code = EBUSY, .message = name + " keeps changing"});
}

}  // namespace tlsmux::engine::broker
