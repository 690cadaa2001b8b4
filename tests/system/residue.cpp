#include "tests/system/residue.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include <doctest/doctest.h>

#include "tests/broker/process.hpp"
#include "tests/host/host_process.hpp"

namespace tlsmux::test {

std::vector<std::string> group_objects() {
  const auto start = "tlsmux.TEST-" + std::to_string(::getpid()) + "-";  // as unique_group() begins
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    const auto name = entry.path().filename().string();
    if (name.starts_with(start)) names.push_back(name);
  }
  return names;
}

Residue::Residue() : descriptors_(0) {
  REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
  [[maybe_unused]] const auto made_once = host::certificate_file("ca.pem");
  descriptors_ = descriptor_count(::getpid());
}

Residue::~Residue() {
  siginfo_t child{};
  const int found = ::waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT);
  CHECK_MESSAGE((found == -1 && errno == ECHILD), "a child process is left, pid ", child.si_pid);
  CHECK(descriptor_count(::getpid()) == descriptors_);
  for (const auto& name : group_objects()) FAIL_CHECK("left in /dev/shm: ", name);
}

}  // namespace tlsmux::test
