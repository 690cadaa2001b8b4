#include "engine/broker/trace_locks.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "engine/broker/file_lock.hpp"
#include "shm/system/shared_names.hpp"

namespace tlsmux::engine::broker {
namespace {

using shm::SystemError;

SystemError busy(const std::string& path, const shm::UniqueFd& file) {
  return {.code = EBUSY,
          .message = path + " is locked by another tlsmuxd" + holder_in_words(file.get()) +
                     ", which counts these trace numbers"};
}

// What others have put there is neither believed nor written to; by another name it could be any file of ours.
std::expected<void, SystemError> check_own(const std::string& path, const shm::UniqueFd& file) {
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return std::unexpected(shm::last_error("looking at " + path));
  if (S_ISREG(status.st_mode) && status.st_uid == ::geteuid() && status.st_nlink <= 1) return {};
  const std::string why = status.st_nlink > 1 ? "has more than one name" : "is " + shm::kind_and_owner(status);
  return std::unexpected(SystemError{.code = EACCES, .message = path + " " + why + "; type: rm " + path});
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
  for (int attempt = 0; attempt < kLockAttemptsMax; ++attempt) {
    shm::UniqueFd file(::open(name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!file) return std::unexpected(shm::last_error("opening " + name));
    if (const auto own = check_own(name, file); !own) return std::unexpected(own.error());
    const auto result = lock_file(file.get());
    if (result == LockResult::failed) return std::unexpected(shm::last_error("locking " + name));
    if (result == LockResult::held) return std::unexpected(busy(name, file));
    if (!is_still_named(name, file.get())) continue;
    name_holder(file);
    taken_.emplace(name, std::move(file));
    return {};
  }
  return std::unexpected(SystemError{.code = EBUSY, .message = name + " keeps changing"});
}

}  // namespace tlsmux::engine::broker
