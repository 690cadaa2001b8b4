// Any bytes as the doings of an odd host after the handshake: RecordLayer must open exactly what was sealed up to the first
// fault, and mbedTLS must agree.
#include <cstdio>
#include <cstdlib>

#include "tests/tls/record_check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto difference = tlsmux::test::check_record_case({data, size});
  if (!difference.empty()) {
    std::fprintf(stderr, "record: %s\n", difference.c_str());
    std::abort();
  }
  return 0;
}
