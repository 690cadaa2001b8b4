#include "client/wrapper/other_openssl.hpp"

#include <dlfcn.h>

#include <exception>
#include <map>
#include <memory>
#include <mutex>

namespace tlsmux::wrapper {

constinit std::atomic<bool> has_other_openssl = false;

namespace {

struct Others {
  std::mutex mutex;
  // By where a library lies that makes calls; null: it is linked with the first. None of those in here is unloaded any more.
  std::map<const void*, const OpensslCalls*> calls;
};

// Never destroyed, as the sockets that are redirected are not.
Others& others() {
  static auto* const all = std::make_unique<Others>().release();
  return *all;
}

const void* base_of(const void* address) {
  Dl_info library{};
  return ::dladdr(address, &library) != 0 ? library.dli_fbase : nullptr;
}

// What has names without versions gets our functions in place of its own, but nothing else from us.
const OpensslCalls* foreign_calls() {
  static const OpensslCalls calls = openssl_calls_in(nullptr);
  return &calls;
}

// Null: it is linked with the first, or with the wrapper, or is the program itself, which is no library to be opened.
const OpensslCalls* look(const Dl_info& caller) {
  if (!has_openssl()) return foreign_calls();
  void* const library = ::dlopen(caller.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  if (library == nullptr) return nullptr;
  const void* const found = ::dlvsym(library, "SSL_connect", kOpensslVersion);
  const void* const base = found != nullptr ? base_of(found) : nullptr;
  if (base == nullptr || base == base_of(&has_other_openssl) || is_in_openssl(found)) return nullptr;
  Dl_info own{};
  ::dladdr(found, &own);
  void* const scope = ::dlopen(own.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  return scope != nullptr ? std::make_unique<OpensslCalls>(openssl_calls_in(scope)).release() : nullptr;
}

}  // namespace

const OpensslCalls* find_other_openssl(const void* caller) {
  Dl_info library{};
  if (::dladdr(caller, &library) == 0) return nullptr;
  try {
    const std::lock_guard lock(others().mutex);
    const auto [place, is_new] = others().calls.try_emplace(library.dli_fbase, nullptr);
    if (is_new) place->second = look(library);
    return place->second;
  } catch (const std::exception&) {  // no memory
    return nullptr;
  }
}

void look_for_other_openssl(const void* caller) {
  if (find_other_openssl(caller) != nullptr) has_other_openssl.store(true, std::memory_order_relaxed);
}

void lock_other_openssl() { others().mutex.lock(); }
void unlock_other_openssl() { others().mutex.unlock(); }

}  // namespace tlsmux::wrapper
