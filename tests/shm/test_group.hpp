#pragma once

#include <unistd.h>

#include <string>

#include "shm/segment.hpp"

namespace tlsmux::test {

// A group name that no other test uses, and no object of that name before and after.
class TestGroup {
 public:
  TestGroup() { shm::remove_group_object(name_); }
  TestGroup(const TestGroup&) = delete;
  TestGroup& operator=(const TestGroup&) = delete;
  ~TestGroup() { shm::remove_group_object(name_); }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string path() const { return "/dev/shm/" + shm::group_object_name(name_); }

 private:
  std::string name_ = "TEST-" + std::to_string(::getpid());
};

}  // namespace tlsmux::test
