#include "engine/broker/group_lock.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <utility>

#include "shm/segment.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine::broker {
namespace {

constexpr int kAttemptsMax = 16;

// Opening with O_CREAT what is there already fails in sticky directories (fs.protected_regular), even for root.
shm::UniqueFd open_or_make(const std::string& name) {
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    shm::UniqueFd fd(::shm_open(name.c_str(), O_RDWR, 0));
    if (!fd && errno == ENOENT) fd.reset(::shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600));
    if (fd || errno != EEXIST) return fd;
  }
  return {};
}

bool lock(int fd, short type = F_WRLCK) {
  struct flock wanted{};
  wanted.l_type = type;
  wanted.l_whence = SEEK_SET;
  return ::fcntl(fd, F_OFD_SETLK, &wanted) == 0;
}

// The name may lead to another file by now: the one before us removed its own while we opened it.
bool still_named(const std::string& name, const struct stat& status) {
  struct stat named{};
  const shm::UniqueFd again(::shm_open(name.c_str(), O_RDONLY, 0));
  return again && ::fstat(again.get(), &named) == 0 && named.st_dev == status.st_dev && named.st_ino == status.st_ino;
}

std::string holder_of(int fd) {
  std::array<char, 16> text{};
  const auto size = ::pread(fd, text.data(), text.size(), 0);
  pid_t pid = 0;
  if (size > 0) std::from_chars(text.data(), text.data() + size, pid);
  return pid > 0 ? " (pid " + std::to_string(pid) + ")" : "";
}

std::string somebody_elses(const std::string& path, uid_t owner) {
  return path + " belongs to uid " + std::to_string(owner) + ": run tlsmuxd as that user, or have it removed";
}

}  // namespace

std::expected<GroupLock, std::string> GroupLock::take(const std::string& group) {
  const auto name = "/" + shm::group_object_name(group) + ".lock";
  const auto path = "/dev/shm" + name;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    auto fd = open_or_make(name);
    if (!fd) {
      struct stat status{};
      if (errno == EACCES && ::stat(path.c_str(), &status) == 0) {
        return std::unexpected(somebody_elses(path, status.st_uid));
      }
      return std::unexpected(shm::last_error("opening the lock file " + path).message);
    }
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0) return std::unexpected(shm::last_error("looking at " + path).message);
    if (!lock(fd.get())) {
      if (errno != EAGAIN && errno != EACCES) return std::unexpected(shm::last_error("locking " + path).message);
      return std::unexpected("group " + group + " is served by a live engine" + holder_of(fd.get()));
    }
    if (!still_named(name, status)) continue;
    if (status.st_uid != ::geteuid()) {
      // Left by an engine of another user, or put there by one who wants to hold the lock: root makes its own.
      if (::shm_unlink(name.c_str()) != 0) return std::unexpected(somebody_elses(path, status.st_uid));
      continue;
    }
    GroupLock taken(group, name, std::move(fd));
    taken.name_holder(::getpid());
    return taken;
  }
  return std::unexpected("the lock file " + path + " keeps changing");
}

GroupLock::~GroupLock() {
  if (fd_) ::shm_unlink(name_.c_str());
}

void GroupLock::unlock() {
  if (!fd_) return;
  ::shm_unlink(name_.c_str());  // before another can lock it
  lock(fd_.get(), F_UNLCK);
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
