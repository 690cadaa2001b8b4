#include "client/wrapper/openssl_calls.hpp"

#include <dlfcn.h>
#include <link.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace tlsmux::wrapper {
namespace {

// What no other libssl has, and no OpenSSL before 3. One that is without versions would match any.
constexpr const char* kSign = "SSL_CTX_new_ex";

// As modules bring one along, by whatever name and RTLD_LOCAL.
std::vector<std::string> libraries_like_openssl() {
  std::vector<std::string> found;
  const auto take = [](dl_phdr_info* info, std::size_t, void* into) {
    const std::string_view path = info->dlpi_name;
    const auto name = path.substr(path.rfind('/') + 1);
    if (name.starts_with("libssl")) static_cast<std::vector<std::string>*>(into)->emplace_back(path);
    return 0;
  };
  ::dl_iterate_phdr(take, &found);
  return found;
}

// Only if it is loaded; and keeps it so, until it is given back by dlclose.
void* hold_local_openssl() {
  if (void* const usual = ::dlopen("libssl.so.3", RTLD_LAZY | RTLD_NOLOAD)) return usual;
  for (const auto& path : libraries_like_openssl()) {
    void* const library = ::dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (library == nullptr) continue;
    if (::dlvsym(library, kSign, kOpensslVersion) != nullptr) return library;
    ::dlclose(library);
  }
  return nullptr;
}

// Where the process's own OpenSSL is looked for. Interpreters load libssl with a module, RTLD_LOCAL: RTLD_NEXT does not find it
// then.
void* first_scope() {
  return ::dlvsym(RTLD_NEXT, kSign, kOpensslVersion) != nullptr ? RTLD_NEXT : hold_local_openssl();
}

// By its version, since the process may have an older OpenSSL too; without where OpenSSL was built so.
void* find(void* scope, const char* name) {
  if (scope == nullptr) scope = RTLD_NEXT;
  void* const found = ::dlvsym(scope, name, kOpensslVersion);
  return found != nullptr ? found : ::dlsym(scope, name);
}

// How many libraries have ever been loaded.
unsigned long long loads_so_far() {
  unsigned long long loads = 0;
  const auto take = [](dl_phdr_info* info, std::size_t, void* into) {
    *static_cast<unsigned long long*>(into) = info->dlpi_adds;
    return 1;
  };
  ::dl_iterate_phdr(take, &loads);
  return loads;
}

[[noreturn]] void end_without(const char* name) {
  (void)std::fprintf(stderr, "libtlsmux_ssl: this process has no %s: is its OpenSSL older than 3.0?\n", name);
  std::abort();
}

template <typename Function>
Function find_as(void* scope, const char* name) {
  return reinterpret_cast<Function>(find(scope, name));
}

OpensslCalls whole(OpensslCalls calls) {
#define TLSMUX_OPENSSL_CALL(name) \
  if (calls.name == nullptr) end_without(#name);
  TLSMUX_OPENSSL_CALLS(TLSMUX_OPENSSL_CALL)
#undef TLSMUX_OPENSSL_CALL
  return calls;
}

}  // namespace

OpensslCalls openssl_calls_in(void* scope) {
#define TLSMUX_OPENSSL_CALL(name) .name = find_as<decltype(&::name)>(scope, #name),
  OpensslCalls calls{TLSMUX_OPENSSL_CALLS(TLSMUX_OPENSSL_CALL)};
#undef TLSMUX_OPENSSL_CALL
  calls.set_client_cert_engine =
      find_as<decltype(calls.set_client_cert_engine)>(scope, "SSL_CTX_set_client_cert_engine");
  if (scope == nullptr) scope = RTLD_NEXT;
  calls.write_ex2 = reinterpret_cast<decltype(calls.write_ex2)>(::dlvsym(scope, "SSL_write_ex2", "OPENSSL_3.3.0"));
  return calls;
}

const OpensslCalls& openssl() {
  static const OpensslCalls calls = whole(openssl_calls_in(first_scope()));
  return calls;
}

// Looking costs the opening of files where there is none: once for each time that something has been loaded.
bool has_openssl() {
  constinit static std::atomic<unsigned long long> loaded_without = 0;
  const auto loaded = loads_so_far();
  if (loaded == loaded_without.load(std::memory_order_relaxed)) return false;
  if (::dlvsym(RTLD_NEXT, kSign, kOpensslVersion) != nullptr) return true;
  void* const library = hold_local_openssl();
  if (library == nullptr) {
    loaded_without.store(loaded, std::memory_order_relaxed);
    return false;
  }
  ::dlclose(library);
  return true;
}

bool is_in_openssl(const void* address) {
  Dl_info caller{};
  Dl_info library{};
  const auto known = reinterpret_cast<const void*>(openssl().SSL_connect);
  return ::dladdr(address, &caller) != 0 && ::dladdr(known, &library) != 0 && caller.dli_fbase == library.dli_fbase;
}

void raise_error(int reason, const char* function, int library) {
  openssl().ERR_new();
  openssl().ERR_set_debug("libtlsmux_ssl", 0, function);
  openssl().ERR_set_error(library, reason, nullptr);
}

}  // namespace tlsmux::wrapper
