#include "engine/log/log_file.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <string_view>
#include <utility>

#include "shm/system/owner.hpp"

namespace tlsmux::engine {
namespace {

using shm::SystemError;
using shm::UniqueFd;

constexpr int kLinksMax = 8;
constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
constexpr mode_t kMode = 0640;

std::unexpected<SystemError> failed(const std::string& path) {
  return std::unexpected(shm::last_error("opening the log file " + path));
}

std::unexpected<SystemError> refused(const std::string& path, const std::string& why) {
  return std::unexpected(SystemError{.code = EPERM, .message = "the log file " + path + " " + why});
}

// As its owner has made it, and no other: it is read from where it is open.
struct Link {
  UniqueFd fd;
  struct stat status{};
  bool is_kernels = false;  // leads to what a process has open, which has no path

  [[nodiscard]] bool is_made_by_us() const { return shm::is_root_or_own(status.st_uid); }
};

std::expected<Link, SystemError> open_link(const std::string& path) {
  Link link{.fd = UniqueFd(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC))};
  struct statfs system{};
  if (!link.fd || ::fstat(link.fd.get(), &link.status) != 0 || ::fstatfs(link.fd.get(), &system) != 0) {
    return failed(path);
  }
  link.is_kernels = system.f_type == PROC_SUPER_MAGIC;
  return link;
}

std::expected<std::string, SystemError> target_of(const Link& link, const std::string& path) {
  std::array<char, PATH_MAX> text{};
  const auto size = ::readlinkat(link.fd.get(), "", text.data(), text.size());
  if (size <= 0) return failed(path);
  const std::string target(text.data(), static_cast<std::size_t>(size));
  return target.starts_with('/') ? target : path.substr(0, path.rfind('/') + 1) + target;
}

std::expected<UniqueFd, SystemError> open_following(std::string path) {
  for (int links = 0; links <= kLinksMax; ++links) {
    UniqueFd fd(::open(path.c_str(), kFlags | O_NOFOLLOW, kMode));
    if (fd) return fd;
    if (errno == ENXIO) return refused(path, "is a FIFO that nobody reads, or a socket; give the path of a file");
    if (errno != ELOOP) return failed(path);
    const auto link = open_link(path);
    if (!link) return std::unexpected(link.error());
    if (!S_ISLNK(link->status.st_mode)) continue;  // it has changed just now
    if (link->is_kernels) {
      fd.reset(::open(path.c_str(), kFlags, kMode));
      if (fd) return fd;
      return failed(path);
    }
    if (!link->is_made_by_us()) {
      return refused(path, "is a symbolic link of uid " + std::to_string(link->status.st_uid) +
                               ", who is neither root nor who starts tlsmuxd; give the path that it is to lead to");
    }
    auto target = target_of(*link, path);
    if (!target) return std::unexpected(target.error());
    path = std::move(*target);
  }
  errno = ELOOP;
  return failed(path);
}

}  // namespace

std::expected<UniqueFd, SystemError> open_log_file(const std::string& path) {
  auto fd = open_following(path);
  if (!fd) return fd;
  struct stat status{};
  if (::fstat(fd->get(), &status) != 0) return failed(path);
  const bool is_meant = path.starts_with("/dev/") || path.starts_with("/proc/");
  if (!S_ISREG(status.st_mode) && !is_meant) {
    return refused(path, "is no file; give the path of one, or leave it out to log to standard error");
  }
  return fd;
}

}  // namespace tlsmux::engine
