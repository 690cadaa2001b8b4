#include "engine/broker/file_access.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "config/changers.hpp"
#include "config/private_file_words.hpp"
#include "config/wording.hpp"
#include "shm/system/owner.hpp"

namespace tlsmux::engine::broker {
namespace {

constexpr const char* kUse = "use it";

struct OpenedFile {
  shm::UniqueFd fd;
  struct stat status;
};

std::unexpected<shm::SystemError> refused(int code, const std::string& path, const char* why) {
  return std::unexpected(shm::SystemError{.code = code, .message = path + " " + why});
}

std::unexpected<shm::SystemError> denied(std::string why) {
  return std::unexpected(shm::SystemError{.code = EACCES, .message = std::move(why)});
}

std::expected<void, shm::SystemError> check_changers(const std::string& path, const struct stat& status,
                                                     const char* what_they_may) {
  const auto problem = config::problem_of_changers(path, status, what_they_may);
  if (problem) return denied(config::in_quotes(path) + " " + *problem);
  return {};
}

std::expected<OpenedFile, shm::SystemError> open_regular(const std::string& path) {
  // Without O_NONBLOCK, a FIFO in the file's place would hold up the broker.
  shm::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return std::unexpected(shm::last_error("opening " + path));
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return std::unexpected(shm::last_error("looking at " + path));
  if (!S_ISREG(status.st_mode)) return refused(EINVAL, path, "is not a regular file");
  if (static_cast<std::uint64_t>(status.st_size) > kFileBytesMax) return refused(EFBIG, path, "is too large");
  return OpenedFile{.fd = std::move(fd), .status = status};
}

}  // namespace

std::expected<shm::UniqueFd, shm::SystemError> open_for_reading(const std::string& path) {
  auto file = open_regular(path);
  if (!file) return std::unexpected(file.error());
  return std::move(file->fd);
}

std::expected<shm::UniqueFd, shm::SystemError> open_trusted(const std::string& path, const char* what_changers_may) {
  auto file = open_regular(path);
  if (!file) return std::unexpected(file.error());
  if (const auto good = check_changers(path, file->status, what_changers_may); !good) {
    return std::unexpected(good.error());
  }
  return std::move(file->fd);
}

std::expected<shm::UniqueFd, shm::SystemError> open_private(const std::string& path, uid_t owner) {
  auto file = open_regular(path);
  if (!file) return std::unexpected(file.error());
  const auto& status = file->status;
  if ((status.st_mode & 077) != 0) return denied(config::open_to_others(path, status.st_mode, kUse));
  if (status.st_uid != 0 && status.st_uid != owner) return denied(config::owned_by_stranger(path, status.st_uid));
  return std::move(file->fd);
}

std::expected<shm::UniqueFd, shm::SystemError> open_secret_log(const std::string& path, uid_t owner) {
  // A link could lead root to append to any file.
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  shm::UniqueFd fd(::open(path.c_str(), kFlags, 0600));
  if (!fd) return std::unexpected(shm::last_error("opening " + path));
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return std::unexpected(shm::last_error("looking at " + path));
  if (!S_ISREG(status.st_mode)) return refused(EACCES, path, "is not a regular file");
  if (status.st_nlink != 1) return refused(EACCES, path, "has more than one name; delete it, and it is made anew");
  if ((status.st_mode & 077) != 0) return denied(config::open_to_others(path, status.st_mode, kUse));
  if (!shm::is_root_or_own(status.st_uid) && status.st_uid != owner) {
    return denied(config::owned_by_stranger(path, status.st_uid));
  }
  return fd;
}

std::expected<std::vector<std::string>, shm::SystemError> trusted_files_in(const std::string& directory,
                                                                           const char* what_changers_may) {
  struct CloseDirectory {
    void operator()(DIR* opened) const { ::closedir(opened); }
  };
  const std::unique_ptr<DIR, CloseDirectory> opened(::opendir(directory.c_str()));
  if (opened == nullptr) return std::unexpected(shm::last_error("reading the directory " + directory));
  const int folder = ::dirfd(opened.get());
  struct stat own{};
  if (folder < 0 || ::fstat(folder, &own) != 0) {
    return std::unexpected(shm::last_error("reading the directory " + directory));
  }
  if (const auto good = check_changers(directory, own, what_changers_may); !good) return std::unexpected(good.error());
  std::vector<std::string> paths;
  std::vector<std::string> names;
  while (const auto* entry = ::readdir(opened.get())) names.emplace_back(entry->d_name);
  std::ranges::sort(names);
  const std::string prefix = directory + "/";
  std::set<std::pair<dev_t, ino_t>> seen;
  for (const auto& name : names) {
    struct stat status{};
    if (::fstatat(folder, name.c_str(), &status, 0) != 0 || !S_ISREG(status.st_mode)) continue;
    if (seen.emplace(status.st_dev, status.st_ino).second) paths.push_back(prefix + name);
  }
  return paths;
}

}  // namespace tlsmux::engine::broker
