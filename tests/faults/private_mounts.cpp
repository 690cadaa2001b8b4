#include "tests/faults/private_mounts.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "tests/support/skip.hpp"

namespace tlsmux::test {
namespace {

void check(bool done, const std::string& what) {
  if (!done) throw std::runtime_error(what + ": " + std::strerror(errno));
}

}  // namespace

bool skip_without_private_mounts() {
  try {
    const PrivateMounts probe;
    return false;
  } catch (const std::exception& failure) {
    skip("needs root and mounts of its own: " + std::string(failure.what()));
    return true;
  }
}

PrivateMounts::PrivateMounts()
    : outside_(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC)), folder_(::open(".", O_RDONLY | O_CLOEXEC)) {
  check(outside_ && folder_, "opening the mount namespace");
  check(::unshare(CLONE_NEWNS) == 0, "making a mount namespace");
  check(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "making mounts private");
}

PrivateMounts::~PrivateMounts() {
  // setns() moves to the root folder.
  if (::setns(outside_.get(), CLONE_NEWNS) != 0 || ::fchdir(folder_.get()) != 0) std::perror("leaving private mounts");
}

void PrivateMounts::mount(const std::string& folder, std::size_t bytes) {
  const auto options = "mode=1777,size=" + std::to_string(bytes);
  check(::mount("tmpfs", folder.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) == 0, "mounting " + folder);
}

Filler::Filler(const std::string& folder) : path_(folder + "/filler") {
  const shm::UniqueFd file(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  check(static_cast<bool>(file), "making " + path_);
  const std::array<char, 4096> page{};
  ssize_t written = 0;
  while (written >= 0) written = ::write(file.get(), page.data(), page.size());
  check(errno == ENOSPC, "filling " + folder);
}

Filler::~Filler() { ::unlink(path_.c_str()); }

}  // namespace tlsmux::test
