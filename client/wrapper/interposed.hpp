#pragma once

// What the functions have in common that this library stands in front of.

#include <cerrno>
#include <exception>
#include <utility>

#include "client/wrapper/other_openssl.hpp"
#include "client/wrapper/wrapped_ssl.hpp"

// SSL_* are exported under OPENSSL_3.0.0 (libtlsmux_ssl.map), so that no program of another OpenSSL gets them.
#define TLSMUX_INTERPOSED extern "C" __attribute__((visibility("default")))

// Who is linked with another OpenSSL than the one that is served gets that one's.
#define TLSMUX_LEAVE_OTHERS(call) \
  if (const auto* const other = other_openssl(__builtin_return_address(0))) return other->call

namespace tlsmux::wrapper {

// No exception leaves the library: what can be thrown at all is a lack of memory. Not noexcept: a thread that is cancelled
// (pthread_cancel) while it waits in here is unwound.
template <typename Result, typename Function>
Result carefully(Result otherwise, Function function) {
  try {
    return function();
  } catch (const std::exception&) {
    errno = ENOMEM;
    return otherwise;
  }
}

// Null: the call is OpenSSL's.
inline WrappedSsl* ours(const SSL* ssl) {
  auto* const found = find_wrapped(ssl);
  return found != nullptr && found->is_ours() ? found : nullptr;
}

// Null: the call is OpenSSL's.
inline WrappedSsl* open_one(const SSL* ssl) {
  auto* const found = find_wrapped(ssl);
  return found != nullptr && found->is_open() ? found : nullptr;
}

}  // namespace tlsmux::wrapper
