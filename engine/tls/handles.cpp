#include "engine/tls/handles.hpp"

#include <mbedtls/error.h>

#include <array>

namespace tlsmux::engine::tls {

std::string library_words(int code) {
  std::array<char, 256> words{};
  mbedtls_strerror(code, words.data(), words.size());
  return words.data();
}

}  // namespace tlsmux::engine::tls
