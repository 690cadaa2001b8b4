#pragma once

// The lock of a group that an engine serves.

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include <doctest/doctest.h>

#include "shm/segment.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {

// As tlsmuxd holds it.
class HeldLock {
 public:
  explicit HeldLock(const std::string& group)
      : path_("/dev/shm/" + shm::group_object_name(group) + ".lock"),
        fd_(::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) {
    struct flock all{};
    all.l_type = F_WRLCK;
    REQUIRE(::fcntl(fd_.get(), F_OFD_SETLK, &all) == 0);
  }
  HeldLock(const HeldLock&) = delete;
  HeldLock& operator=(const HeldLock&) = delete;
  ~HeldLock() { ::unlink(path_.c_str()); }

  void name_holder(std::uint32_t pid) const {
    const auto text = std::to_string(pid) + " 0          ";
    REQUIRE(::pwrite(fd_.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  }

 private:
  std::string path_;
  shm::UniqueFd fd_;
};

}  // namespace tlsmux::test
