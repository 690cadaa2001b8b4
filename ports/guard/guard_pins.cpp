#include "ports/guard/guard_pins.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <bpf/bpf.h>

#include "ports/guard/port_guard.h"
#include "ports/patient_lock.hpp"
#include "shm/system/owner.hpp"

namespace tlsmux::ports {
namespace {

namespace fs = std::filesystem;

constexpr char kLeavingsMark = '~';

// The folder of this version.
std::string version_in(const std::string& root) { return root + "/v" + std::to_string(TLSMUX_GUARD_VERSION); }

std::unexpected<std::string> failure(const std::string& path, int error) {
  return std::unexpected(path + ": " + std::strerror(error));
}

std::string instance_of(const fs::path& folder) {
  const std::string name = folder.filename();
  return name.substr(0, name.find(kLeavingsMark));
}

std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.is_directory(ignored)) folders.push_back(entry.path());
  }
  std::ranges::sort(folders);
  return folders;
}

// A link is detached first: some process might still have it open, and it would judge on.
std::expected<void, std::string> remove_pins(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> pins;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error)) {
    if (!entry.is_directory(error)) pins.push_back(entry.path());
  }
  for (const auto& pin : pins) {
    if (const shm::UniqueFd object(::bpf_obj_get(pin.c_str())); object) ::bpf_link_detach(object.get());
    if (::unlink(pin.c_str()) != 0) return failure(pin, errno);
  }
  fs::remove_all(folder, error);
  if (error) return failure(folder, error.value());
  return {};
}

}  // namespace

GuardPins::GuardPins(std::string bpf_directory, std::string instance)
    : root_(std::move(bpf_directory) + "/tlsmux"), instance_(std::move(instance)) {}

std::string GuardPins::path() const { return version_in(root_) + "/" + instance_; }

bool GuardPins::is_anything_pinned() const { return !folders_in(root_).empty(); }

std::expected<shm::UniqueFd, std::string> GuardPins::lock() const {
  if (::mkdir(root_.c_str(), S_IRWXU) != 0 && errno != EEXIST) return failure(root_, errno);
  shm::UniqueFd folder(::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return failure(root_, errno);
  struct stat status{};
  if (::fstat(folder.get(), &status) != 0) return failure(root_, errno);
  if (!shm::is_root_or_own(status.st_uid) || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return std::unexpected(root_ + " belongs to uid " + std::to_string(status.st_uid) +
                           ", or others may write in it, who could take away what is pinned there: remove it, and "
                           "mount the bpffs with mode=700");
  }
  const int error = lock_patiently(folder.get());
  if (error == 0) return folder;
  if (error != EWOULDBLOCK) return failure(root_, error);
  return std::unexpected(root_ + " is locked: another tlsmux process has been changing a guard for seconds");
}

std::expected<std::string, std::string> GuardPins::make_folder() const {
  const auto version = version_in(root_);
  if (::mkdir(version.c_str(), S_IRWXU) != 0 && errno != EEXIST) return failure(version, errno);
  for (unsigned number = 1;; ++number) {
    std::string folder = path() + kLeavingsMark + std::to_string(number);
    if (::mkdir(folder.c_str(), S_IRWXU) == 0) return folder;
    if (errno != EEXIST) return failure(folder, errno);
  }
}

std::expected<void, std::string> GuardPins::put_in_force(const std::string& folder) const {
  const auto plain = path();
  if (::renameat2(AT_FDCWD, folder.c_str(), AT_FDCWD, plain.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno != EEXIST) return failure(plain, errno);
  if (::renameat2(AT_FDCWD, folder.c_str(), AT_FDCWD, plain.c_str(), RENAME_EXCHANGE) != 0)
    return failure(plain, errno);
  return {};
}

std::expected<void, std::string> GuardPins::put_out_of_force() const {
  const auto plain = path();
  if (::access(plain.c_str(), F_OK) != 0) return {};
  const auto folder = make_folder();
  if (!folder) return std::unexpected(folder.error());
  // Takes the place of the empty folder.
  if (::rename(plain.c_str(), folder->c_str()) != 0) return failure(plain, errno);
  return {};
}

std::expected<std::size_t, std::string> GuardPins::clear() const {
  std::size_t count = 0;
  for (const auto& version : folders_in(root_)) {
    for (const auto& folder : folders_in(version)) {
      if (instance_of(folder) != instance_ || folder == path()) continue;
      if (const auto removed = remove_pins(folder); !removed) return std::unexpected(removed.error());
      ++count;
    }
    ::rmdir(version.c_str());  // if that was all there was
  }
  return count;
}

std::vector<std::string> GuardPins::instances(const std::string& bpf_directory) {
  std::vector<std::string> names;
  for (const auto& version : folders_in(bpf_directory + "/tlsmux")) {
    for (const auto& folder : folders_in(version)) names.push_back(instance_of(folder));
  }
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  return names;
}

}  // namespace tlsmux::ports
