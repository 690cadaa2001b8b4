#include "engine/broker/file_lock.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

namespace tlsmux::engine::broker {
namespace {

bool set_lock(int fd, short type) {
  struct flock wanted{};
  wanted.l_type = type;
  wanted.l_whence = SEEK_SET;
  return ::fcntl(fd, F_OFD_SETLK, &wanted) == 0;
}

}  // namespace

LockResult lock_file(int fd) {
  if (set_lock(fd, F_WRLCK)) return LockResult::locked;
  return errno == EAGAIN || errno == EACCES ? LockResult::held : LockResult::failed;
}

void unlock_file(int fd) { set_lock(fd, F_UNLCK); }

bool is_still_named(const std::string& path, int fd) {
  struct stat held{};
  struct stat named{};
  return ::fstat(fd, &held) == 0 && ::lstat(path.c_str(), &named) == 0 && held.st_dev == named.st_dev &&
         held.st_ino == named.st_ino;
}

std::string holder_in_words(int fd) {
  std::array<char, 16> text{};
  const auto size = ::pread(fd, text.data(), text.size(), 0);
  pid_t pid = 0;
  if (size > 0) std::from_chars(text.data(), text.data() + size, pid);
  return pid > 0 ? " (pid " + std::to_string(pid) + ")" : "";
}

}  // namespace tlsmux::engine::broker
