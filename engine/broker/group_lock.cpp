#include "engine/broker/group_lock.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "engine/broker/file_lock.hpp"
#include "shm/segment.hpp"
#include "shm/system/shared_names.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine::broker {
namespace {

using shm::path_of_shared;

constexpr int kOpenFlags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

// Nobody else can have put it there: others could neither make it nor, with a hard link, lead here to a file of ours that they may
// write to. Only of such a file a lock is believed, and only such a file is opened.
bool is_own_lock(const struct stat& status) {
  return S_ISREG(status.st_mode) && status.st_uid == ::geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

std::string in_the_way(const std::string& path, const struct stat& status) {
  return path + " belongs to uid " + std::to_string(status.st_uid) + " and is " + shm::kind_and_owner(status) +
         ": run tlsmuxd as that user, or have that user or root type: rm -rf " + path;
}

// A lock file that is locked, at first under a name that nobody knows.
struct NewLock {
  shm::UniqueFd fd;
  std::string name = shm::unforeseen_name();
};

std::expected<NewLock, std::string> make_aside() {
  NewLock made;
  const auto path = path_of_shared(made.name);
  made.fd.reset(::open(path.c_str(), kOpenFlags | O_CREAT | O_EXCL, 0600));
  if (!made.fd) return std::unexpected(shm::last_error("making " + path).message);
  if (lock_file(made.fd.get()) == LockResult::locked) return made;
  const auto error = shm::last_error("locking " + path).message;
  shm::remove_shared_name(made.name);
  return std::unexpected(error);
}

// In the place of what somebody else has put there, held or not, by a swap: there is no moment in which others could put more there.
// Nothing if something has changed meanwhile.
std::expected<std::optional<shm::UniqueFd>, std::string> take_place(const std::string& name,
                                                                    const struct stat& stranger) {
  const auto path = path_of_shared(name);
  if (stranger.st_uid == ::geteuid() && !S_ISREG(stranger.st_mode)) return std::unexpected(in_the_way(path, stranger));
  auto made = make_aside();
  if (!made) return std::unexpected(made.error());
  if (!shm::swap_shared_names(made->name, name)) {
    const int code = errno;
    shm::remove_shared_name(made->name);
    if (code == ENOENT) return std::nullopt;
    return std::unexpected(in_the_way(path, stranger));
  }
  // Another of our user's may have been faster by a hair: it keeps the place.
  struct stat swapped{};
  const bool was_ours = ::lstat(path_of_shared(made->name).c_str(), &swapped) == 0 && is_own_lock(swapped);
  if (was_ours) shm::swap_shared_names(made->name, name);
  shm::remove_shared_name(made->name);
  if (was_ours) return std::nullopt;
  return std::move(made->fd);
}

// Empty if something has changed meanwhile. With O_CREAT what is there already could not be opened in sticky directories
// (fs.protected_regular).
shm::UniqueFd open_own(const std::string& path, bool is_new) {
  shm::UniqueFd fd(::open(path.c_str(), is_new ? kOpenFlags | O_CREAT | O_EXCL : kOpenFlags, 0600));
  struct stat status{};
  if (!fd || ::fstat(fd.get(), &status) != 0 || is_own_lock(status)) return fd;
  errno = ENOENT;
  return {};
}

}  // namespace

std::expected<GroupLock, std::string> GroupLock::take(const std::string& group) {
  const auto name = shm::group_object_name(group) + ".lock";
  const auto path = path_of_shared(name);
  for (int attempt = 0; attempt < kLockAttemptsMax; ++attempt) {
    struct stat status{};
    const bool is_new = ::lstat(path.c_str(), &status) != 0;
    if (is_new && errno != ENOENT) return std::unexpected(shm::last_error("looking at " + path).message);
    if (!is_new && !is_own_lock(status)) {
      auto placed = take_place(name, status);
      if (!placed) return std::unexpected(placed.error());
      if (!*placed) continue;
      return GroupLock(group, path, std::move(**placed), shm::kind_and_owner(status));
    }
    auto fd = open_own(path, is_new);
    if (!fd) {
      if (errno == ENOENT || errno == EEXIST || errno == ELOOP) continue;
      return std::unexpected(shm::last_error("opening the lock file " + path).message);
    }
    const auto result = lock_file(fd.get());
    if (result == LockResult::failed) return std::unexpected(shm::last_error("locking " + path).message);
    if (result == LockResult::held) {
      return std::unexpected("group " + group + " is served by a live engine" + holder_in_words(fd.get()) +
                             "; stop its tlsmuxd, or take the group out of one of the two configurations");
    }
    if (is_still_named(path, fd.get())) return GroupLock(group, path, std::move(fd), {});
  }
  return std::unexpected("the lock file " + path + " keeps changing");
}

GroupLock::GroupLock(std::string group, std::string path, shm::UniqueFd fd, std::string displaced)
    : group_(std::move(group)), path_(std::move(path)), fd_(std::move(fd)), displaced_(std::move(displaced)) {
  name_holder(::getpid());
}

GroupLock::~GroupLock() {
  if (fd_) ::unlink(path_.c_str());
}

void GroupLock::unlock() {
  if (!fd_) return;
  ::unlink(path_.c_str());  // before another can lock it
  unlock_file(fd_.get());
  fd_.reset();
}

// For a message, and for those who look whether the group's ports are of their network; what cannot be written is done without.
// In one piece and always as long, so that a reader finds one holder or the other.
void GroupLock::name_holder(pid_t pid) const {
  constexpr std::size_t kBytes = 40;
  struct stat network{};
  auto text = std::to_string(pid);
  if (::stat("/proc/thread-self/ns/net", &network) == 0) text += " " + std::to_string(network.st_ino);
  text.resize(kBytes - 1, ' ');
  text += '\n';
  [[maybe_unused]] const auto written = ::pwrite(fd_.get(), text.data(), text.size(), 0);
}

void log_displaced(const GroupLock& lock, Log& log) {
  if (lock.displaced().empty()) return;
  log.warning("group_lock_taken_over",
              {{"group", lock.group()},
               {"file", lock.path()},
               {"was", lock.displaced()},
               {"means",
                "it was removed, as only root and the user who runs tlsmuxd keep others off a group; a tlsmuxd of that "
                "user, if there is one, goes on without the group's name"}});
}

std::expected<std::vector<GroupLock>, std::vector<std::string>> lock_groups(
    const std::vector<config::GroupSettings>& groups) {
  std::vector<GroupLock> locks;
  std::vector<std::string> errors;
  for (const auto& group : groups) {
    auto lock = GroupLock::take(group.name);
    if (lock) {
      locks.push_back(std::move(*lock));
    } else {
      errors.push_back(lock.error());
    }
  }
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return locks;
}

}  // namespace tlsmux::engine::broker
