/* libtlsmux: ports that belong to a named group of applications (a "service").
 *
 * An administrator gives a service static ports by label and ranges of dynamic ones. A member's process gets one in
 * constant time, mostly without asking anybody, and keeps it until no socket holds it any more.
 *
 * Unlike tlsmux.h, the functions without a client keep one attachment for each service and process, made on first use
 * and never closed; a forked child makes its own. Making it may take 5 s, if an engine listens that does not answer.
 *
 * All functions may be called from any thread, but not from signal handlers, nor between vfork and exec. None is a
 * cancellation point, changes signals or prints. Sockets and texts stay the caller's, and are not kept. */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "tlsmux/tlsmux.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Binds the socket to a port of the service.
 *
 * `socket`     a TCP or UDP socket of IPv4 or IPv6, not bound yet.
 * `local`      the address to bind to, of `length` bytes; its port is not read. After success it holds the port. NULL with
 *              length 0: any address; ask getsockname for the port.
 * `service`    NULL: the environment's TLSMUX_SERVICE, else its TLSMUX_GROUP, which count for nothing in a setuid program.
 * `port_type`  "dynamic"         any dynamic port
 *              "dynamic:LABEL"   the one that LABEL had the last time, at once, if it can be had; else any, which LABEL has then
 *              "static:LABEL"    the static port of that label
 *              "static"          the first static port for the socket's protocol that this program may have and nobody has
 *
 * Sets SO_REUSEADDR on TCP sockets, and SO_REUSEPORT where the group's ports have holders; where no port is to be had the
 * socket stays as it was. Of dynamic ports that others hold unclaimed ten are tried. Asks the engine, and waits for its
 * answer, unless a port is on lease; waits for an engine that has just died to come back, for a second at the most.
 * Returns 0, or -1 with errno:
 *   EACCES        not a member of the service; the static port is another program's; a low port needs CAP_NET_BIND_SERVICE
 *                 where the group has no guard
 *   EADDRINUSE    the port is taken; none is free; the process has as many as it may have
 *   EINVAL        the socket is bound already or is no TCP or UDP socket; local or port_type makes no sense; no service is given
 *   ENOENT        no such service, or no such label in it
 *   ECONNREFUSED  no engine runs
 *   EAGAIN        the group has as many processes attached as it may have
 *   ETIMEDOUT     the engine did not answer within 5 s
 *   EPROTO        the engine speaks another version of the protocol, or nonsense
 *   ENOMEM, EMFILE, ENFILE, and what bind(2) says: EADDRNOTAVAIL, EBADF, ENOTSOCK */
TMX_EXPORT int tmx_bind_service(int socket, struct sockaddr* local, socklen_t length, const char* service,
                                const char* port_type);

/* Gives the port of a bound socket back, before or after listening ends but before the socket is closed; whether it is
 * closed in every process that has it the engine finds out by itself. A process that forgets this, or dies, keeps nobody
 * from the port for longer than a few sweeps of the engine and the service's reuse delay. Does not wait: if no engine
 * runs, the next one is told. -1 with errno: EINVAL (not bound; no service is given), ENOENT (not a port that this
 * process got from the service, or it was given back before), EBADF, ENOTSOCK. */
TMX_EXPORT int tmx_release_service(int socket, const char* service);

/* The number of a static port by its label, or of a dynamic one by the label it bears now: getservbyname for a service.
 * `protocol` is "tcp" or "udp". Asks nobody and does not wait, once the process is attached. That it has a number does not
 * mean that anybody listens there. Returns 0, or -1 with errno: ENOENT (no such service or label), EINVAL, and of
 * attaching EACCES, ECONNREFUSED, EAGAIN, ETIMEDOUT, EPROTO, as above. */
TMX_EXPORT int tmx_find_service_port(const char* service, const char* label, const char* protocol, uint16_t* port);

/* ---- The same by a client's handle, whose group is the service. They return 0 or a negative errno, like tlsmux.h: those
 * above, -EINVAL for a NULL client, -ECHILD in a forked child, -ENOTCONN instead of -ECONNREFUSED for a client with
 * TMX_NO_REATTACH. They wait for the client's timeout_ms. tmx_client_last_error has words for what was refused. Not while
 * tmx_detach is called. ---- */

TMX_EXPORT int tmx_client_bind(tmx_client* client, int socket, struct sockaddr* local, socklen_t length,
                               const char* port_type);
TMX_EXPORT int tmx_client_release(tmx_client* client, int socket);
TMX_EXPORT int tmx_client_find_port(tmx_client* client, const char* label, const char* protocol, uint16_t* port);

/* Without a socket: takes a number, for those who bind by themselves (TCP with SO_REUSEADDR; with SO_REUSEPORT where the
 * group's ports have holders). Takes 50 ns where a port is on lease. `protocol` is "tcp" or "udp". The number is this
 * process's until it gives it back or ends; once it has bound the port, as above. Errors of the claim: those of
 * tmx_bind_service that are not a socket's. Of the release: -EINVAL, -ENOENT (not a port that this process got); its
 * `in_use` of 1 says that bind failed with EADDRINUSE. It does not wait. */
TMX_EXPORT int tmx_client_claim_port(tmx_client* client, const char* protocol, const char* port_type, uint16_t* port);
TMX_EXPORT int tmx_client_release_port(tmx_client* client, const char* protocol, uint16_t port, int in_use);

#ifdef __cplusplus
}
#endif
