#include "client/wrapper/notes.hpp"

#include "client/wrapper/wrapped_ssl.hpp"

namespace tlsmux::wrapper {
namespace {

template <typename Kept>
void destroy(void*, void* kept, CRYPTO_EX_DATA*, int, long, void*) {
  const std::unique_ptr<Kept> owner(static_cast<Kept*>(kept));
}

// A copy of an SSL begins anew: SSL_dup gives it what it needs.
int leave_behind(CRYPTO_EX_DATA*, const CRYPTO_EX_DATA*, void** kept, int, long, void*) {
  *kept = nullptr;
  return 1;
}

int context_index() {
  static const int index = openssl().CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, nullptr, nullptr, leave_behind,
                                                             destroy<ContextNotes>);
  return index;
}

int ssl_index() {
  static const int index =
      openssl().CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, nullptr, nullptr, leave_behind, destroy<WrappedSsl>);
  return index;
}

}  // namespace

const ContextNotes* find_notes(const SSL_CTX* context) {
  return context != nullptr ? static_cast<ContextNotes*>(openssl().SSL_CTX_get_ex_data(context, context_index()))
                            : nullptr;
}

WrappedSsl* find_wrapped(const SSL* ssl) {
  return ssl != nullptr ? static_cast<WrappedSsl*>(openssl().SSL_get_ex_data(ssl, ssl_index())) : nullptr;
}

ContextNotes* notes_of(SSL_CTX* context) {
  if (context == nullptr) return nullptr;
  if (const auto* const found = find_notes(context)) return const_cast<ContextNotes*>(found);
  auto made = std::make_unique<ContextNotes>();
  if (openssl().SSL_CTX_set_ex_data(context, context_index(), made.get()) == 0) return nullptr;
  return made.release();
}

WrappedSsl* wrapped(SSL* ssl) {
  if (ssl == nullptr) return nullptr;
  if (auto* const found = find_wrapped(ssl)) return found;
  auto made = std::make_unique<WrappedSsl>(ssl);
  if (openssl().SSL_set_ex_data(ssl, ssl_index(), made.get()) == 0) return nullptr;
  return made.release();
}

}  // namespace tlsmux::wrapper
