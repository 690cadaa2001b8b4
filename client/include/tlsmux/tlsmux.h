/* libtlsmux: requests to remote hosts over TLS sessions that an engine on this machine shares between processes.
 *
 * Every request that was submitted ends with exactly one outcome, whatever crashes:
 *   TMX_ANSWERED    here is the response
 *   TMX_NOT_SENT    no byte of it reached the wire: it is safe to send it again or elsewhere
 *   TMX_MAYBE_SENT  it was handed to the wire and no answer came: reverse it
 *
 * Return values. Functions return 0 or a count on success, and a negative errno otherwise:
 *   -EAGAIN        slots or ring are full: take completions, release answers, try again
 *   -ENOTCONN      no engine at the moment; attaching goes on inside the calls: try again
 *   -ESTALE        the buffer belongs to an engine that is gone: abandon it and reserve another
 *   -EMSGSIZE      longer than the upstream's messages may be
 *   -EINVAL        an argument makes no sense
 *   -ENOENT        no such group, upstream or request
 *   -EACCES        this process is no member of the group, or the group may not use the upstream
 *   -ECONNREFUSED  nobody listens on the control socket: no engine runs
 *   -ETIMEDOUT     the engine did not answer in time
 *   -EBUSY         something of it is still open
 *   -ECHILD        the handle was made before a fork: it belongs to the parent
 *   -EPROTO        the engine speaks another version of the protocol
 *   -ENOMEM        and other errnos as the kernel gave them
 * A negative return never stands for an outcome: nothing was submitted by that call.
 *
 * Threads. A tmx_client may be used by any number of threads at once. A tmx_channel is used by one thread at a time;
 * different channels of one client by different threads. No function takes a lock, allocates memory or makes a system
 * call on the way of a request while the engine is awake and up.
 *
 * No function is a cancellation point (pthread_cancel): a thread that is cancelled ends when its call has.
 *
 * Fork. A child that uses its parent's handles gets -ECHILD and disturbs nothing. It may free them with
 * tmx_channel_close and tmx_detach, and attach anew for itself.
 *
 * The library keeps no global state (but see ports.h), installs no signal handlers and prints nothing. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define TMX_EXPORT __attribute__((visibility("default")))
#else
#define TMX_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tmx_outcome {
  TMX_ANSWERED = 1,
  TMX_NOT_SENT = 2,
  TMX_MAYBE_SENT = 3,
  TMX_OUTCOME_FORCE_32_BITS = 0x7fffffff
} tmx_outcome;

/* Why. New ones may be appended: treat those you do not know by the outcome alone. */
typedef enum tmx_reason {
  TMX_REASON_NONE = 0,

  /* Why a request was not sent. */
  TMX_REASON_OVERLOAD = 1,
  TMX_REASON_DUPLICATE_KEY = 2,
  TMX_REASON_UNPARSABLE = 3,
  TMX_REASON_NO_SESSION = 4,
  TMX_REASON_NAME_NOT_RESOLVED = 5,
  TMX_REASON_CONNECT_REFUSED = 6,
  TMX_REASON_CONNECT_TIMEOUT = 7,
  TMX_REASON_CONNECT_FAILED = 8,
  TMX_REASON_HANDSHAKE_TIMEOUT = 9,
  TMX_REASON_HANDSHAKE_FAILED = 10,
  TMX_REASON_CERTIFICATE_UNTRUSTED = 11,
  TMX_REASON_CERTIFICATE_EXPIRED = 12,
  TMX_REASON_CERTIFICATE_WRONG_NAME = 13,
  TMX_REASON_CERTIFICATE_MISSING = 14,
  TMX_REASON_CERTIFICATE_REVOKED = 15,
  TMX_REASON_CERTIFICATE_REJECTED_BY_HOST = 16,
  TMX_REASON_NO_COMMON_SUITE = 17,
  TMX_REASON_NO_COMMON_VERSION = 18,
  TMX_REASON_NOT_PERMITTED = 19,
  TMX_REASON_ENGINE_DRAINING = 20,
  TMX_REASON_CERTIFICATE_PIN_MISMATCH = 21,
  TMX_REASON_SIGN_ON_REFUSED = 22,
  TMX_REASON_SIGN_ON_TIMEOUT = 23,
  TMX_REASON_UPSTREAM_DRAINING = 24,
  TMX_REASON_UPSTREAM_REMOVED = 25,

  /* Why it may have been sent. */
  TMX_REASON_HOST_CLOSED = 32,
  TMX_REASON_CONNECTION_LOST = 33,
  TMX_REASON_WRITE_STALLED = 34,
  TMX_REASON_STREAM_CORRUPT = 35,
  TMX_REASON_RECORD_CORRUPT = 36,
  TMX_REASON_REPLY_SENT = 37, /* of tmx_reply: handed to the wire; nothing comes back */
  TMX_REASON_HEARTBEAT_MISSED = 38,
  TMX_REASON_HOST_SILENT = 39,

  /* Why either. */
  TMX_REASON_DEADLINE = 48,
  TMX_REASON_CANCELLED = 49,
  TMX_REASON_ENGINE_DIED = 50, /* it has ended, whether it was stopped or died */
  TMX_REASON_CLIENT_DIED = 51,
  TMX_REASON_DETACHED = 52,
  TMX_REASON_FORCE_32_BITS = 0x7fffffff
} tmx_reason;

typedef struct tmx_client tmx_client;
typedef struct tmx_channel tmx_channel;

/* ---- Words. All return static text, never NULL, from any thread. ---- */

TMX_EXPORT const char* tmx_version(void);             /* of the library, as "0.1.0" */
TMX_EXPORT const char* tmx_outcome_name(tmx_outcome); /* "ANSWERED" */
TMX_EXPORT const char* tmx_reason_name(tmx_reason);   /* "certificate_expired" */
TMX_EXPORT const char* tmx_reason_text(tmx_reason);   /* one sentence */
TMX_EXPORT const char* tmx_error_text(int error);     /* of a negative (or positive) errno of this library */

/* ---- Attaching ---- */

enum {
  TMX_NO_REATTACH = 1 /* do not look for the next engine when this one is lost: -ENOTCONN from then on */
};
#define TMX_SPIN_NEVER UINT32_MAX

/* Fill with zeroes, set struct_bytes and what you need. */
typedef struct tmx_attach_options {
  uint32_t struct_bytes;      /* sizeof(tmx_attach_options) */
  uint32_t flags;             /* TMX_NO_REATTACH */
  const char* group;          /* NULL: the environment's TLSMUX_GROUP */
  const char* control_socket; /* NULL: the environment's TLSMUX_CONTROL_SOCKET, else /run/tlsmux/control.sock */
  uint32_t channels;          /* how many to make room for; 0: as many as the group allows */
  uint32_t timeout_ms;        /* of attaching and of opening a channel; 0: 5000 */
  uint32_t spin_us;           /* how long to look before sleeping; 0: 20, or none on fewer than 4 processors */
  uint32_t reserved;
  char* error_text; /* if not NULL: receives words when tmx_attach fails */
  size_t error_text_bytes;
} tmx_attach_options;

/* Attaches this process to a group. `options` may be NULL: all from the environment. Blocks for timeout_ms at the most.
 * On success *client is the caller's and ends with tmx_detach; it attaches again by itself when the engine is lost.
 * Errors: -EINVAL (no group given), -ECONNREFUSED, -EACCES, -ENOENT, -EAGAIN (the group is full), -ETIMEDOUT, -EPROTO. */
TMX_EXPORT int tmx_attach(const tmx_attach_options* options, tmx_client** client);

/* Detaches and frees the client. Does not block. -EBUSY, and nothing done, while a channel of it is open (but in a
 * forked child it frees the child's copy regardless). NULL does nothing. */
TMX_EXPORT int tmx_detach(tmx_client* client);

/* The words behind the last failure to attach or open, or behind a detachment, into `buffer` with a terminating zero.
 * Returns their length, 0 if there are none. Any thread. */
TMX_EXPORT int tmx_client_last_error(tmx_client* client, char* buffer, size_t buffer_bytes);

/* ---- Channels ---- */

/* Opens a channel to an upstream. Blocks for the client's timeout_ms at the most. Any thread.
 * Errors: -ENOENT (no such upstream), -EACCES, -EAGAIN (no channel is free), -ENOTCONN, -ETIMEDOUT, -EINVAL. */
TMX_EXPORT int tmx_channel_open(tmx_client* client, const char* upstream, tmx_channel** channel);

enum {
  TMX_LATE_ANSWERS = 1, /* late answers to this channel's own requests come as notices */
  /* The following make the channel a subscriber of its upstream for its group. Of several subscribers the first that
   * has room gets a notice. */
  TMX_SUBSCRIBE_LATE = 2, /* late answers whose channel did not ask for them, or is closed */
  TMX_SUBSCRIBE_UNSOLICITED =
      4,                    /* what the host sends unasked; needs the group to be the upstream's subscriber_group */
  TMX_SUBSCRIBE_ORPHANS = 8 /* outcomes, and late answers, of requests whose process died */
};

/* Fill with zeroes, set struct_bytes and what you need. */
typedef struct tmx_channel_options {
  uint32_t struct_bytes; /* sizeof(tmx_channel_options) */
  uint32_t flags;
  uint32_t notices; /* room for so many at one time, two slots each, taken from the channel's; 0: 8, or half of what
                     * there is if that is less. Used only with flags */
  uint32_t reserved[5];
} tmx_channel_options;

/* Like tmx_channel_open, with options. `options` may be NULL. -EINVAL also when `notices` leave no room for requests;
 * -EACCES also for TMX_SUBSCRIBE_UNSOLICITED of a group that is not the upstream's subscriber_group. */
TMX_EXPORT int tmx_channel_open_with(tmx_client* client, const char* upstream, const tmx_channel_options* options,
                                     tmx_channel** channel);

/* Closes and frees the channel. Does not block. -EBUSY, and nothing done, while a request has no outcome yet or an
 * outcome was not polled. Notices do not keep it from closing, polled or not: those that were not released are gone,
 * except orphans, which go to the next subscriber. Data of buffers and completions of the channel must not be touched afterwards. */
TMX_EXPORT int tmx_channel_close(tmx_channel* channel);

/* Like tmx_channel_close, but first gives up what is open: such requests are withdrawn where still possible, and
 * nobody will learn their outcome. For shutting down. */
TMX_EXPORT int tmx_channel_discard(tmx_channel* channel);

/* ---- Requests without copying ---- */

typedef struct tmx_buffer {
  void* data; /* write the request here */
  uint32_t capacity;
  uint32_t reserved;
  uint64_t handle[2];
} tmx_buffer;

/* Takes room for one request and its answer. The buffer is the caller's until it is submitted or abandoned.
 * Does not block. Errors: -EAGAIN, -ENOTCONN; -ENOENT, -EACCES if the present engine refuses the channel. */
TMX_EXPORT int tmx_reserve(tmx_channel* channel, tmx_buffer* buffer);

/* Gives an unused buffer back. -EINVAL if it is not reserved. */
TMX_EXPORT int tmx_abandon(tmx_channel* channel, const tmx_buffer* buffer);

typedef struct tmx_request {
  tmx_buffer buffer;
  uint64_t tag;        /* comes back with the completion */
  uint32_t length;     /* of the request in the buffer, from 1 */
  uint32_t timeout_ms; /* from now; 0: the upstream's; at most 24 hours */
  uint64_t reserved[2];
} tmx_request;

/* Hands the request to the engine. From then on the buffer must not be touched, and the request has an outcome.
 * After an error the buffer is still the caller's. Does not block.
 * Errors: -EINVAL (length 0, not reserved), -EMSGSIZE, -ESTALE, -ENOTCONN, -EAGAIN. */
TMX_EXPORT int tmx_submit(tmx_channel* channel, const tmx_buffer* buffer, uint32_t length, uint64_t tag,
                          uint32_t timeout_ms);

/* Submits several and wakes the engine once at the most. Returns how many were taken, from the front; the error if
 * the first was not. */
TMX_EXPORT int tmx_submit_many(tmx_channel* channel, const tmx_request* requests, size_t count);

/* What a completion is. A channel without flags gets outcomes only. */
typedef enum tmx_kind {
  TMX_OUTCOME = 0, /* of a request or reply submitted here */
  /* Notices. Release each when it has been dealt with. */
  TMX_LATE = 1,        /* data: an answer that came after its request had ended. tag: the request's */
  TMX_UNSOLICITED = 2, /* data: a message of the host that answers nothing; tmx_reply may answer it */
  /* A request whose process died before tmx_poll or tmx_call had returned its outcome: outcome and reason tell how it
   * ended, request its bytes, data the answer if ANSWERED.
   * Until it is released the engine keeps it, and gives it to the next subscriber if this one dies. */
  TMX_ORPHAN = 3,
  TMX_KIND_FORCE_32_BITS = 0x7fffffff
} tmx_kind;

typedef struct tmx_completion {
  uint64_t tag;
  tmx_outcome outcome; /* of TMX_OUTCOME and TMX_ORPHAN */
  tmx_reason reason;
  const void* data; /* the answer or the host's message; NULL if there is none */
  uint32_t length;
  tmx_kind kind;
  uint64_t handle[2];
  const void* request; /* of TMX_ORPHAN: what had been asked; of TMX_LATE after a TMX_ORPHAN, while kept; else NULL */
  uint32_t request_length;
  uint32_t error_offset; /* of TMX_REASON_UNPARSABLE: where reading stopped, in bytes from the message's start */
  uint16_t error_field;  /* and in which field; 0: the MTI, 1: the bitmap */
  uint16_t reserved0;
  uint32_t reserved1;
  uint64_t notice; /* names the host's message for tmx_reply */
  uint64_t reserved2[2];
} tmx_completion;

/* Takes up to `max` completions. With none at hand it waits for timeout_ms (0: not at all; at most 24 hours) and
 * returns their number, or 0. Also does all that is due: deadlines, settling after an engine's death, attaching anew.
 * The data of an answer or notice stays readable until tmx_release, even when the engine is gone.
 * An outcome counts as seen in the moment in which tmx_poll or tmx_call returns it, not before: what the library has
 * found, or decided by itself, and not yet returned becomes an orphan if the process dies. */
TMX_EXPORT int tmx_poll(tmx_channel* channel, tmx_completion* completions, size_t max, uint32_t timeout_ms);

/* Gives the memory of an answer or a notice back; does nothing for other completions. -EINVAL if it was released
 * before. */
TMX_EXPORT int tmx_release(tmx_channel* channel, const tmx_completion* completion);

/* Ends every open request that bears this tag: NOT_SENT or MAYBE_SENT (reason cancelled), or what became of it in the
 * meantime. The completion comes through tmx_poll. -ENOENT if none is open. */
TMX_EXPORT int tmx_cancel(tmx_channel* channel, uint64_t tag);

/* Answers a TMX_UNSOLICITED notice, on the session it came on. The buffer comes from tmx_reserve; the notice may be
 * released before or after. The completion is a TMX_OUTCOME: NOT_SENT, or MAYBE_SENT with TMX_REASON_REPLY_SENT once the
 * kernel has taken all of it. Errors as tmx_submit; -ESTALE also when the engine that brought the notice is gone, -EINVAL
 * when it is no TMX_UNSOLICITED. */
TMX_EXPORT int tmx_reply(tmx_channel* channel, const tmx_completion* notice, const tmx_buffer* buffer, uint32_t length,
                         uint64_t tag);

/* ---- Trace numbers ---- */

/* The next number of the upstream's trace_numbers (ISO 8583 field 11; 1 to 999999 by default), unique over all
 * processes, groups and engines within one round, and none that may still be in flight. Taken from a block that the
 * engine has leased to the channel: no system call, except when the block is used up faster than the engine grants the
 * next; then waits for the client's timeout_ms at the most. Errors: -ENOTCONN, -ETIMEDOUT; -ENOENT, -EACCES if the
 * present engine refuses the channel. */
TMX_EXPORT int tmx_next_trace_number(tmx_channel* channel, uint32_t* number);

/* ---- One request at a time ---- */

typedef struct tmx_result {
  tmx_outcome outcome;
  tmx_reason reason;
  uint32_t length;       /* of the answer; if it exceeds the capacity, only so much was copied */
  uint32_t error_offset; /* as in tmx_completion */
  uint16_t error_field;
  uint16_t reserved0;
  uint32_t reserved1;
  uint64_t reserved2;
} tmx_result;

/* Sends a request and waits for its outcome; completions of other requests stay for tmx_poll. timeout_ms bounds all
 * of it, waiting for an engine or a free slot included; 0: the upstream's (or 5000 while that is unknown).
 * Returns 0 with *result filled, or an error: then it was not sent. */
TMX_EXPORT int tmx_call(tmx_channel* channel, const void* request, uint32_t length, void* response, uint32_t capacity,
                        uint32_t timeout_ms, tmx_result* result);

/* ---- Event loops ---- */

/* A descriptor that is readable whenever tmx_poll(channel, ..., 0) has something to report or to do: completions,
 * deadlines, an engine's death, a new engine. Level-triggered; only poll it (poll, epoll), never read or close it. It
 * stays the same for the channel's life. Negative: an errno. */
TMX_EXPORT int tmx_channel_descriptor(tmx_channel* channel);

/* ---- Diagnosis ---- */

/* The upstream's last error in words, e.g. why TLS failed, into `buffer` with a terminating zero. Returns the length,
 * 0 if there was none. The words are the engine's present ones, not those of one request. -ENOTCONN, -EAGAIN. */
TMX_EXPORT int tmx_upstream_last_error(tmx_channel* channel, char* buffer, size_t buffer_bytes);

#ifdef __cplusplus
}
#endif
