#include "shm/system/private_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::shm {
namespace {

std::unexpected<SystemError> not_to_be_believed(const std::string& path, const std::string& why) {
  return std::unexpected(SystemError{.code = EBADMSG, .message = path + " " + why});
}

std::expected<void, SystemError> write_all(int file, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const auto size = ::write(file, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::unexpected(last_error("writing " + path));
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
  if (::fsync(file) != 0) return std::unexpected(last_error("writing " + path + " to the disk"));
  return {};
}

std::expected<void, SystemError> sync_folder_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  const std::string folder = parent.empty() ? "." : parent.string();
  const UniqueFd descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor || ::fsync(descriptor.get()) != 0) {
    return std::unexpected(last_error("writing " + folder + " to the disk"));
  }
  return {};
}

}  // namespace

std::expected<std::optional<std::string>, SystemError> read_private_file(const std::string& path,
                                                                         std::size_t bytes_max) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!file) {
    if (errno == ENOENT) return std::nullopt;
    if (errno == ELOOP) return not_to_be_believed(path, "is a link");
    return std::unexpected(last_error("opening " + path));
  }
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return std::unexpected(last_error("looking at " + path));
  if (!S_ISREG(status.st_mode)) return not_to_be_believed(path, "is no regular file");
  if (status.st_uid != ::geteuid()) {
    return not_to_be_believed(path, "belongs to uid " + std::to_string(status.st_uid));
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) return not_to_be_believed(path, "can be written by others");
  if (static_cast<std::uint64_t>(status.st_size) > bytes_max) return not_to_be_believed(path, "is too long");

  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  for (std::size_t at = 0; at < text.size();) {
    const auto size = ::pread(file.get(), text.data() + at, text.size() - at, static_cast<off_t>(at));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::unexpected(last_error("reading " + path));
    if (size == 0) text.resize(at);
    at += static_cast<std::size_t>(size);
  }
  return text;
}

std::expected<void, SystemError> replace_file(const std::string& path, std::string_view bytes, mode_t mode) {
  const auto fresh = path + ".new";
  if (::unlink(fresh.c_str()) != 0 && errno != ENOENT) return std::unexpected(last_error("removing " + fresh));
  const UniqueFd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!file) return std::unexpected(last_error("making " + fresh));
  // In this order: neither half a file nor the old one may be found after a power cut.
  auto done = write_all(file.get(), bytes, fresh);
  if (done && std::rename(fresh.c_str(), path.c_str()) != 0) {
    done = std::unexpected(last_error("moving " + fresh + " into place"));
  }
  if (!done) {
    ::unlink(fresh.c_str());
    return done;
  }
  return sync_folder_of(path);
}

}  // namespace tlsmux::shm
