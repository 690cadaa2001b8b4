#pragma once

// File systems of a test's own, small enough to fill. What is mounted while the object lives is seen by this process and
// the children that it starts meanwhile, and by nobody else. Needs root and a process with one thread.

#include <cstddef>
#include <string>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {

// True when the test cannot run, having said so with "SKIPPED:".
bool skip_without_private_mounts();

class PrivateMounts {
 public:
  PrivateMounts();
  ~PrivateMounts();
  PrivateMounts(const PrivateMounts&) = delete;
  PrivateMounts& operator=(const PrivateMounts&) = delete;

  // An empty tmpfs of so many bytes over a folder that is there.
  void mount(const std::string& folder, std::size_t bytes);

 private:
  shm::UniqueFd outside_;
  shm::UniqueFd folder_;
};

// All that is free on a file system, in one file, while the object lives.
class Filler {
 public:
  explicit Filler(const std::string& folder);
  ~Filler();
  Filler(const Filler&) = delete;
  Filler& operator=(const Filler&) = delete;

 private:
  std::string path_;
};

}  // namespace tlsmux::test
