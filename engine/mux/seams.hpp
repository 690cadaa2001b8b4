#pragma once

// Everything the multiplexer needs of the world. The engine implements these on io_uring, threads and shared memory;
// tests and the simulator implement them on nothing. No call blocks, and none calls back into the multiplexer: what
// comes of it is fed in later, through the multiplexer's inputs.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/mux/address.hpp"
#include "engine/mux/ids.hpp"
#include "engine/tls/tls_session.hpp"
#include "shm/outcome.hpp"

namespace tlsmux::engine::mux {

// How connections to an upstream are made.
struct ConnectOptions {
  std::optional<Address> source;       // its port, or all of it, may be zero: the kernel chooses that; none: likewise
  std::uint32_t keepalive_idle_s = 0;  // before the first probe; 0: as the system has it, like the next ones
  std::uint32_t keepalive_interval_s = 0;
  std::uint32_t keepalive_count = 0;
  std::uint32_t user_timeout_ms = 0;  // RFC 5482
};

// Connections, one for each session. A session index has at most one connection at a time; the generation in the id
// tells late news of an earlier one apart.
class Network {
 public:
  virtual ~Network() = default;
  // Sealed bytes of this session lie here until the kernel has accepted them. The same memory on every call.
  virtual std::span<std::byte> send_memory(std::uint32_t session_index) = 0;
  // Leads to `connected`; from then on to `received` and at last `ended`, unless closed first. A source address that
  // cannot be had is an error of the connect.
  virtual void connect(SessionId session, const Address& address, const ConnectOptions& options) = 0;
  // One at a time for a session. The bytes stay where they are until `sent`.
  virtual void send(SessionId session, std::span<const std::byte> bytes) = 0;
  // Leads to `closed`, once the outcome of a send in flight has been told by `sent`.
  virtual void close(SessionId session) = 0;
  // Receives no more until resumed; what the kernel has handed over already may still come. Its end is then told later.
  virtual void hold(SessionId session) = 0;
  virtual void resume(SessionId session) = 0;
};

// What may take milliseconds or block: other threads do it.
class Workers {
 public:
  virtual ~Workers() = default;
  virtual void resolve(SessionId session, const std::string& host, std::uint16_t port) = 0;  // leads to `resolved`
  // Leads to `handshake_stepped`, which gives the TLS session back.
  virtual void handshake(SessionId session, std::unique_ptr<tls::TlsSession> tls, std::vector<std::byte> received) = 0;
};

// Where a request came from. Opaque to the multiplexer, which hands it back.
struct Caller {
  std::uint32_t channel = 0;
  std::uint32_t request_slot = 0;
  std::uint32_t response_slot = 0;
  std::uint64_t generation = 0;
  std::uint64_t tag = 0;
  std::uint64_t serial = 0;  // of the channel's opening
};

// The `channel` of a caller whose process is dead; `generation` then names what is kept of its request.
inline constexpr std::uint32_t kOrphanChannel = ~0U;

// The `channel` of a caller that is a stream; `generation` holds its id, `tag` the message's number in it.
inline constexpr std::uint32_t kStreamChannel = ~0U - 1;

constexpr bool is_stream(const Caller& caller) { return caller.channel == kStreamChannel; }

constexpr bool is_orphan(const Caller& caller) { return caller.channel == kOrphanChannel; }

// Why a request is not sent; of an unparsable one, in which field and at which byte reading stopped.
struct Refusal {
  shm::Reason reason = shm::Reason::none;
  std::uint16_t error_field = 0;
  std::uint32_t error_offset = 0;
};

// The askers and their slots. `take` returning false, and each of `answer`, `refuse` and `lose`, is the last the
// multiplexer has to do with that caller, except that it may ask for `own_reason` right afterwards.
class Callers {
 public:
  virtual ~Callers() = default;
  // The request is about to be sealed (QUEUED to SENDING). False: its caller has withdrawn it.
  virtual bool take(const Caller& caller) = 0;
  // A request once taken is about to be sealed again, after proof that no byte of it left. False: expired meanwhile.
  virtual bool still_wanted(const Caller& caller) = 0;
  // The request's bytes, in memory that the caller can change: what was judged must be copied first.
  virtual std::span<const std::byte> message(const Caller& caller, std::uint32_t length) = 0;
  // Each true when this is the outcome; false when the caller had decided on its own before.
  virtual bool answer(const Caller& caller, std::span<const std::byte> message) = 0;
  virtual bool refuse(const Caller& caller, const Refusal& refusal) = 0;  // NOT_SENT
  virtual bool lose(const Caller& caller, shm::Reason reason) = 0;        // MAYBE_SENT
  // When one of these, or `take`, has just been false: why, as the caller says. `deadline` or `cancelled`.
  virtual shm::Reason own_reason(const Caller& caller) = 0;
};

// What comes from hosts and no request waits for.
class Notices {
 public:
  virtual ~Notices() = default;
  // An answer to a request that had ended. The caller may be long gone.
  virtual void late(const Caller& caller, std::uint32_t upstream, std::uint32_t group,
                    std::span<const std::byte> message) = 0;
  // A message that answers nothing. `notice` names it for Multiplexer::reply().
  virtual void unsolicited(std::uint32_t upstream, std::uint64_t notice, std::span<const std::byte> message) = 0;
};

// The streams that have a session for themselves, or wait for one. `Leases` calls these; none calls back into it.
class LeaseHolders {
 public:
  virtual ~LeaseHolders() = default;
  // The stream has a session from now on.
  virtual void lease_granted(StreamId stream, const tls::PeerFacts& facts) = 0;
  // There is none, and none is to be waited for any more. The last that is said of this stream.
  virtual void lease_refused(StreamId stream, shm::Reason reason, std::string_view words) = 0;
  // Valid during the call only.
  virtual void host_sent(StreamId stream, std::span<const std::byte> bytes) = 0;
  // The session has room to seal again, after Leases::write() took less than all.
  virtual void lease_has_room(StreamId stream) = 0;
  // The host sends no more, and said so. The stream may still write, until it closes.
  virtual void host_finished(StreamId stream) = 0;
  // The session is over. The last that is said of this stream. `maybe_sent`: a byte that the host has not answered may
  // have left.
  virtual void lease_lost(StreamId stream, shm::Reason reason, std::string_view words, bool maybe_sent) = 0;
};

// Trace numbers for messages that the engine makes itself, out of the same ones as its clients'.
class TraceNumberSource {
 public:
  virtual ~TraceNumberSource() = default;
  // Nothing: there is none just now; try again soon.
  virtual std::optional<std::uint32_t> take_own(std::uint32_t upstream) = 0;
};

enum class EventKind : std::uint8_t {
  session_ready,
  session_failed,  // it did not come up
  session_lost,    // it was up
  session_closed,  // by us, in good order
  unsolicited_message,
  orphans_dropped,  // outcomes of dead processes' requests that nobody will ever be told
  stream_ended,     // lost or refused, for a reason that no session's end tells
};

// For the log. Never holds a byte of a message.
struct Event {
  EventKind kind{};
  std::string_view upstream{};
  std::uint32_t session = 0;
  std::string_view address{};
  shm::Reason reason = shm::Reason::none;
  std::string_view words{};
  std::uint32_t not_sent = 0;  // requests that ended with the session
  std::uint32_t maybe_sent = 0;
  std::uint32_t retry_in_ms = 0;
  std::string_view group{};
  std::uint32_t orphans = 0;  // that were dropped
  std::uint64_t stream = 0;   // its number
  std::uint32_t pid = 0;      // of its process
  std::uint32_t uid = 0;      // likewise
};

class Events {
 public:
  virtual ~Events() = default;
  virtual void event(const Event& event) = 0;
};

struct Seams {
  Network& network;
  Workers& workers;
  Callers& callers;
  Notices& notices;
  Events& events;
  TraceNumberSource& trace_numbers;
  LeaseHolders& lease_holders;
};

}  // namespace tlsmux::engine::mux
