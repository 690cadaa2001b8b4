// Any bytes as an ISO 8583 message: walk, key, expectations and automatic reply must not contradict each other.
#include <cstdio>
#include <cstdlib>

#include "tests/message/iso8583_check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto difference = tlsmux::test::check_iso8583_case({data, size});
  if (!difference.empty()) {
    std::fprintf(stderr, "iso8583: %s\n", difference.c_str());
    std::abort();
  }
  return 0;
}
