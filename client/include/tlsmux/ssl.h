/* libtlsmux_ssl: OpenSSL's calls on sessions that an engine on this machine shares between processes.
 *
 * Link with it before libssl (pkg-config tlsmux_ssl; in CMake tlsmux::tlsmux_ssl before OpenSSL::SSL), or start a program under
 * LD_PRELOAD=libtlsmux_ssl.so; client/wrapper/WRAPPER.md says what a shared session is. A program that wants to decide by
 * itself calls these, on an SSL as any of OpenSSL's functions: from one thread at a time. They do not block and leave the error
 * queue alone. */
#pragma once

#include <openssl/ssl.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Before SSL_connect: 1: this connection shall be shared, and SSL_connect fails where it cannot be; 0: it shall not; -1: as
 * TLSMUX_SSL and the engine's rules say, which is the beginning. It holds until the next call, also over SSL_clear. Returns 1;
 * 0 if the handshake has begun, if `shared` is something else, or if libssl comes before this library in the program, whose
 * SSL_connect is then OpenSSL's, which a line on standard error says. */
__attribute__((visibility("default"))) int tmx_SSL_set_shared(SSL* ssl, int shared);

/* 1: shared; 0: not, or not connected yet, or it has failed. */
__attribute__((visibility("default"))) int tmx_SSL_is_shared(const SSL* ssl);

#ifdef __cplusplus
}
#endif
