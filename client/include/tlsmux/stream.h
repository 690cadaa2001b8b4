/* libtlsmux: streams, for programs that read and write bytes instead of messages.
 *
 * A stream is a descriptor, connected to the engine, that behaves like a connection to the host: bytes in, bytes out, and
 * an end. To an upstream with framing it is one of many on the same sessions: the engine cuts what is written into
 * messages, and gives back the answers to this stream's own. To an upstream with framing `http1` or `none`, or with
 * `streams.kind: leased`, it has a session of a warm pool for itself until it is closed.
 *
 * There are no outcomes: when a message written to a stream ends NOT_SENT or MAYBE_SENT, or its session ends, the stream is
 * lost, and tmx_stream_reason says why.
 *
 * Threads. One thread may read while another writes; otherwise one at a time. Different streams are independent. None of these
 * is a cancellation point: a thread that is cancelled in one ends when the call has.
 * Fork. A stream goes on in the child as a connection would; who of the two reads what is theirs to arrange. */
#pragma once

#include <sys/uio.h>

#include "tlsmux/tlsmux.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tmx_stream tmx_stream;

enum {
  TMX_STREAM_NONBLOCKING = 1 /* reads and writes that would wait return -EAGAIN; so does tmx_stream_await_open */
};

/* Fill with zeroes, set struct_bytes and what you need. */
typedef struct tmx_stream_options {
  uint32_t struct_bytes; /* sizeof(tmx_stream_options) */
  uint32_t flags;        /* TMX_STREAM_NONBLOCKING */
  const char* group;     /* NULL: the environment's TLSMUX_GROUP, else the first that this process is a member of */
  const char* control_socket; /* NULL: the environment's TLSMUX_CONTROL_SOCKET, else /run/tlsmux/control.sock */
  uint32_t timeout_ms; /* of opening; 0: the upstream's streams.wait_ms. Of reads and writes: tmx_stream_set_timeouts */
  uint32_t reserved;
  char* error_text; /* if not NULL: receives words when tmx_stream_open fails */
  size_t error_text_bytes;
} tmx_stream_options;

/* Opens a stream to an upstream. It needs no tmx_client and no shared memory. `options` may be NULL. Blocks until there is a
 * session, for timeout_ms at the most; with TMX_STREAM_NONBLOCKING until the engine has answered, which waits for nothing. On
 * success *stream is the caller's and ends with tmx_stream_close.
 * Errors: -ENOENT (no such upstream), -EACCES, -ECONNREFUSED (no engine), -EAGAIN (the upstream has as many streams as it
 * may), -ETIMEDOUT, -ECONNABORTED (there is no session; tmx_reason of it in the words), -EINVAL, -EPROTO (an engine of another
 * version), and what the kernel says, such as -EMFILE or -ENOMEM. A signal does not end it. */
TMX_EXPORT int tmx_stream_open(const char* upstream, const tmx_stream_options* options, tmx_stream** stream);

/* Waits until the stream has its session, timeout_ms at the most (UINT32_MAX: for ever). 0, or -EAGAIN or -ETIMEDOUT, or
 * -ECONNABORTED. Only needed after TMX_STREAM_NONBLOCKING; reads do it too. */
TMX_EXPORT int tmx_stream_await_open(tmx_stream* stream, uint32_t timeout_ms);

/* Up to `bytes` bytes into `buffer`: how many; 0 when the host sends no more, and has said so (or there is no room). Blocks unless it is
 * non-blocking. -EAGAIN (non-blocking), -ETIMEDOUT (read time-out), -ECONNRESET (lost: tmx_stream_reason),
 * -ECONNABORTED (refused), -EPIPE (the engine has ended), -EINTR. After an error other than the first two and the last it returns the same again. */
TMX_EXPORT ssize_t tmx_stream_read(tmx_stream* stream, void* buffer, size_t bytes);
TMX_EXPORT ssize_t tmx_stream_readv(tmx_stream* stream, const struct iovec* parts, int count);

/* Writes all of it, or, when non-blocking or timed out after a part, as much as goes: how many bytes. They are with the
 * engine then, not with the host. Errors as of reading; -EPIPE also after tmx_stream_shutdown, and when nobody takes the bytes
 * any more and reading has not said yet why. Raises no SIGPIPE. */
TMX_EXPORT ssize_t tmx_stream_write(tmx_stream* stream, const void* buffer, size_t bytes);
TMX_EXPORT ssize_t tmx_stream_writev(tmx_stream* stream, const struct iovec* parts, int count);

/* No more is written: what is in flight is still answered. 0 or a negative errno. */
TMX_EXPORT int tmx_stream_shutdown(tmx_stream* stream);

/* For single reads and writes from now on; 0: none. Does not concern non-blocking ones. */
TMX_EXPORT int tmx_stream_set_timeouts(tmx_stream* stream, uint32_t read_timeout_ms, uint32_t write_timeout_ms);

/* To poll for reading and writing: it is ready when, and only when, the stream is; only when the stream opens, and while a part
 * of something is on its way, it may be readable and a non-blocking read still return -EAGAIN. To be read, written and closed by this
 * library only. It may be made blocking or not by fcntl. */
TMX_EXPORT int tmx_stream_descriptor(const tmx_stream* stream);

/* Why the stream was refused or is lost; TMX_REASON_NONE while it is not. The words into `text`, if not NULL, with a
 * terminating zero. *maybe_sent, if not NULL: 1 if bytes that were written may have left without an answer, 0 if it is certain
 * that none has. */
TMX_EXPORT tmx_reason tmx_stream_reason(const tmx_stream* stream, int* maybe_sent, char* text, size_t text_bytes);

/* Closes and frees it. Does not block. What is in flight is given up. NULL does nothing. */
TMX_EXPORT void tmx_stream_close(tmx_stream* stream);

#ifdef __cplusplus
}
#endif
