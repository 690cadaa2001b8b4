#pragma once

// Nothing may be left behind. Made first in a test, so that it looks last.

#include <cstddef>
#include <string>
#include <vector>

namespace tlsmux::test {

// Shared-memory objects of the groups that this test program has made.
std::vector<std::string> group_objects();

// At its end: no child process lives or waits to be reaped, no descriptor is open that was not before, no group's
// object or lock is there. Orphans of the test's processes become its children, so that they are seen too.
class Residue {
 public:
  Residue();
  ~Residue();
  Residue(const Residue&) = delete;
  Residue& operator=(const Residue&) = delete;

 private:
  std::size_t descriptors_;
};

}  // namespace tlsmux::test
