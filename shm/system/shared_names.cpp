#include "shm/system/shared_names.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>

namespace tlsmux::shm {
namespace {

constexpr int kAttemptsMax = 16;

const char* kind_of(mode_t mode) {
  if (S_ISREG(mode)) return "a file";
  if (S_ISLNK(mode)) return "a symbolic link";
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

// Who may not take it away is told who can.
SystemError in_the_way(const std::string& path, int code) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return {.code = code, .message = path + ": " + std::strerror(code)};
  return {.code = code,
          .message = path + " is " + kind_and_owner(status) + ": " + std::strerror(code) +
                     "; have that user or root type: rm -rf " + path};
}

bool is_own_directory(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == ::geteuid();
}

}  // namespace

std::string path_of_shared(std::string_view name) { return "/dev/shm/" + std::string(name); }

std::string unforeseen_name() {
  std::random_device random;
  std::string name = "tlsmux-aside.";
  constexpr std::string_view kLetters = "0123456789abcdefghijklmnopqrstuv";
  for (int i = 0; i < 16; ++i) name += kLetters[random() % kLetters.size()];
  return name;
}

std::string kind_and_owner(const struct stat& status) {
  return std::string(kind_of(status.st_mode)) + " of uid " + std::to_string(status.st_uid);
}

bool swap_shared_names(const std::string& one, const std::string& other) {
  return ::renameat2(AT_FDCWD, path_of_shared(one).c_str(), AT_FDCWD, path_of_shared(other).c_str(), RENAME_EXCHANGE) ==
         0;
}

void remove_shared_name(const std::string& name) {
  const auto path = path_of_shared(name);
  if (::unlink(path.c_str()) != 0 && (errno == EISDIR || errno == EPERM)) ::rmdir(path.c_str());
}

std::expected<void, SystemError> move_to_shared_name(const std::string& from, const std::string& to) {
  const auto to_path = path_of_shared(to);
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    if (::rename(path_of_shared(from).c_str(), to_path.c_str()) == 0) return {};
    if (errno != EISDIR) return std::unexpected(in_the_way(to_path, errno));
    if (is_own_directory(to_path)) return std::unexpected(in_the_way(to_path, EISDIR));
    if (swap_shared_names(from, to)) {
      remove_shared_name(from);
      return {};
    }
    if (errno != ENOENT) return std::unexpected(in_the_way(to_path, errno));
  }
  return std::unexpected(SystemError{.code = EBUSY, .message = to_path + " keeps changing"});
}

}  // namespace tlsmux::shm
