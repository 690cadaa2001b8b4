// Any bytes between a process and a host: in whatever pieces they pass, the boundary says the same of them, and what it
// calls clean is.
#include <cstdio>
#include <cstdlib>

#include "tests/message/boundary_check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto difference = tlsmux::test::check_boundary_case({data, size});
  if (!difference.empty()) {
    std::fprintf(stderr, "boundary: %s\n", difference.c_str());
    std::abort();
  }
  return 0;
}
