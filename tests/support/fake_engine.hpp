// A counterpart for tests of the client: an engine without TLS and without hosts. It speaks the control protocol with
// real memory objects, and does with each request what the request's first byte says:
//
//   A  answers with the request's own bytes          a  the same, but the completion is withheld
//   R  refuses it (overload)                         r  the same, withheld
//   L  seals it and loses it (host_closed)           l  the same, withheld
//   Q  leaves it queued                              S  seals it and stays silent
//   T  answers with a result longer than a slot, withheld
//   F  refuses it (handshake_failed)
//   K  kills the engine's process at once
//   N  completes a request that does not exist       G  completes the request under a wrong generation
//   B  returns a request that the client has not ended
//   P  refuses it as unparsable (field 11, offset 42)   p  the same, withheld
//   U  delivers what follows the letter as a message of the host, then answers as A
//   Y  delivers what follows as a late answer with the request's tag, then answers as A
//   O  delivers the request as an orphan that ended as the second letter says (A, R or L), then answers as A
//   X  delivers a notice that is wrong: 1 too long, 2 of no kind, 3 in a slot that was not lent, 4 as an outcome,
//      5 an orphan without an outcome, 6 an orphan whose request is too long
//   C  writes an impossible tail into the completion ring
//   H  writes an impossible head into the request ring, and looks at it no more
//
// Drains and refreshes are taken and never answered; whoever asks may look at the group, whose data loop has moved at the start.
//
// What the client has ended by itself is returned to it. Notices wait until the channel has lent a pair of slots. A reply
// ends MAYBE_SENT (reply_sent). Upstreams: "HOST" opens, "HOST2" too (but not for unsolicited messages: EACCES),
// "FORBIDDEN" is refused with EACCES, all others with ENOENT. Trace numbers come in blocks that follow each other.
//
// Ports: the dynamic ones are given in turn, on lease and by answers, and never twice. The label "admin" is the static
// port's, "silent" gets no answer, "forbidden" EACCES, "nonsense" an answer that is none, all others ENOENT. The tables
// have the static port, and a bound UDP port 4711 with the label "journal".
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "shm/control_protocol.hpp"
#include "shm/geometry.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {

enum class Flaw : std::uint8_t {
  none,
  silent,         // takes connections and never answers
  closes,         // closes after the attach message
  unsealed,       // memory whose size the engine could change
  wrong_size,     // memory that does not fit the geometry
  wrong_boot_id,  // headers of two engines
  no_pidfd,       // something else in its place
};

struct FakePortOptions {
  std::vector<std::uint16_t> dynamic;
  std::uint16_t static_port = 0;   // TCP
  std::uint16_t foreign_port = 0;  // claimed by number: EACCES; all others but the static one: ENOENT
  std::uint32_t leases = 0;
  bool has_holders = false;  // of some of its ports
};

// What clients have asked for.
struct FakePortLog {
  std::vector<shm::ClaimPortRequest> claims;
  std::vector<shm::ReleasePortRequest> releases;
  int refills = 0;
};

struct FakeEngineOptions {
  std::string group;
  std::string control_socket;
  shm::ClientGeometry geometry{.channels = 4, .slots_per_channel = 8, .slot_bytes = 256};
  std::uint32_t message_bytes_max = 200;
  std::uint32_t timeout_ms = 30'000;
  std::string last_error;            // of the upstream HOST
  std::vector<std::string> notices;  // as the letters U, Y, O and what follows: for each channel that subscribes
  std::uint32_t trace_first = 1;
  std::uint32_t trace_block = 4;  // 0: grants none
  FakePortOptions ports;
  int refusal = 0;  // answers every attach with this errno
  Flaw flaw = Flaw::none;
};

// A group and a socket that no other test uses; both are removed with it.
class FakeEngineNames {
 public:
  FakeEngineNames();
  FakeEngineNames(const FakeEngineNames&) = delete;
  FakeEngineNames& operator=(const FakeEngineNames&) = delete;
  ~FakeEngineNames();
  [[nodiscard]] FakeEngineOptions options() const;

 private:
  std::string group_;
  std::string socket_;
};

class FakeEngineLoop;

// In a thread of this process: its pidfd never fires. Serves as soon as it is constructed.
class ThreadEngine {
 public:
  explicit ThreadEngine(const FakeEngineOptions& options);
  ThreadEngine(const ThreadEngine&) = delete;
  ThreadEngine& operator=(const ThreadEngine&) = delete;
  ~ThreadEngine();

  // Each returns when it is done.
  void publish_withheld();
  void detach_clients(const std::string& text);  // with a notice
  void hang_up();                                // without one
  [[nodiscard]] std::uint32_t clients();         // attached now
  [[nodiscard]] std::uint32_t channels();        // open now, of all clients
  [[nodiscard]] std::uint32_t slots_held();      // requests taken and not returned
  [[nodiscard]] std::uint32_t pairs_lent();      // for notices, of all channels
  [[nodiscard]] std::uint32_t flags();           // of all open channels together
  struct Reply {
    std::uint64_t notice = 0;
    std::string text;
  };
  [[nodiscard]] std::vector<Reply> replies();
  [[nodiscard]] FakePortLog ports();

 private:
  void in_loop(const std::function<void()>& action);

  std::unique_ptr<FakeEngineLoop> loop_;
  std::thread thread_;
};

// In a process of its own. A fork of a process with threads may hang in the allocator of a sanitizer, which another thread had
// locked: where there will be threads, engines are made before them, and begin later.
class ForkedEngine {
 public:
  enum class Begins : std::uint8_t { now, later };
  explicit ForkedEngine(const FakeEngineOptions& options, Begins begins = Begins::now);
  ForkedEngine(const ForkedEngine&) = delete;
  ForkedEngine& operator=(const ForkedEngine&) = delete;
  ~ForkedEngine();  // kills it if need be

  void begin();  // if it was to do so later; it listens then

  void signal(int number) const;
  void kill();       // and waits until it is gone
  void wait_dead();  // it does so by itself

 private:
  pid_t pid_ = -1;
  shm::UniqueFd command_;  // of a pair of sockets: a byte has it begin, and is sent back when it listens
};

}  // namespace tlsmux::test
