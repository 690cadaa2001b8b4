#pragma once

// A process may have more than one OpenSSL 3: a module has brought one along, by another name, for itself alone. The first is
// served; what is linked with another gets its own calls, whose objects the first must never see. The same where there is no
// OpenSSL 3 at all, but another library with functions of the same names.

#include <atomic>

#include "client/wrapper/openssl_calls.hpp"

namespace tlsmux::wrapper {

extern constinit std::atomic<bool> has_other_openssl;

// Looks which OpenSSL the code at `caller` is linked with; it is about to make its first object. Thread-safe.
void look_for_other_openssl(const void* caller);

// Null: the first.
const OpensslCalls* find_other_openssl(const void* caller);
inline const OpensslCalls* other_openssl(const void* caller) {
  return has_other_openssl.load(std::memory_order_relaxed) ? find_other_openssl(caller) : nullptr;
}

// Around fork.
void lock_other_openssl();
void unlock_other_openssl();

}  // namespace tlsmux::wrapper
