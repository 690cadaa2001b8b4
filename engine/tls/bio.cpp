#include "engine/tls/bio.hpp"

#include <mbedtls/ssl.h>

#include <algorithm>
#include <new>

#include "shm/shared_copy.hpp"

namespace tlsmux::engine::tls {

int Bio::send(void* bio, const unsigned char* bytes, std::size_t count) {
  auto& self = *static_cast<Bio*>(bio);
  const auto sent = std::as_bytes(std::span(bytes, count));
  if (self.handshake_output == nullptr) return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
  try {
    self.handshake_output->insert(self.handshake_output->end(), sent.begin(), sent.end());
  } catch (const std::bad_alloc&) {  // must not pass through C
    return MBEDTLS_ERR_SSL_ALLOC_FAILED;
  }
  return static_cast<int>(count);
}

int Bio::receive(void* bio, unsigned char* bytes, std::size_t count) {
  auto& self = *static_cast<Bio*>(bio);
  if (self.input.empty()) {
    self.starved = true;
    return MBEDTLS_ERR_SSL_WANT_READ;
  }
  const auto taken = self.input.first(std::min(count, self.input.size()));
  shm::copy_bytes(std::as_writable_bytes(std::span(bytes, count)), taken);
  self.input = self.input.subspan(taken.size());
  return static_cast<int>(taken.size());
}

}  // namespace tlsmux::engine::tls
