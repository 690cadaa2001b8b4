// Any bytes as the stream of a host, in any layout and any pieces: FrameCutter must agree with the reference, and
// messages must come back as they were sent.
#include <cstdio>
#include <cstdlib>

#include "tests/message/framing_check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto difference = tlsmux::test::check_framing_case({data, size});
  if (!difference.empty()) {
    std::fprintf(stderr, "framing: %s\n", difference.c_str());
    std::abort();
  }
  return 0;
}
