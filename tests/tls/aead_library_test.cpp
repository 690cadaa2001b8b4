// Which library does the work. CMakeLists.txt builds this once more for each kind of processor whose code is tested apart.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "engine/tls/aead.hpp"
#include "tests/support/skip.hpp"

#ifndef TLSMUX_TESTED_PROCESSOR_FLAG
#define TLSMUX_TESTED_PROCESSOR_FLAG "aes"
#endif

namespace tlsmux::test {
namespace {

using engine::tls::AeadLibrary;

TEST_CASE("record.aead is done by IPsec-MB where the processor has what it needs") {
  CHECK(engine::tls::aead_is_usable(AeadLibrary::mbedtls));
  CHECK(engine::tls::aead_is_usable(engine::tls::fastest_aead_library()));
  std::ifstream file("/proc/cpuinfo");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  for (const std::string flag : {"aes", "pclmulqdq", TLSMUX_TESTED_PROCESSOR_FLAG}) {
    if (text.find(" " + flag + " ") == std::string::npos) {
      skip("this processor has no " + flag + ": IPsec-MB is not tested, mbedTLS only");
      return;
    }
  }
  CHECK(engine::tls::fastest_aead_library() == AeadLibrary::ipsec_mb);
}

}  // namespace
}  // namespace tlsmux::test
