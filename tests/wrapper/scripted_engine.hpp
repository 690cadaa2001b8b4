#pragma once

// An engine for tests of the wrapper: it answers what the wrapper asks as it is told, and at its listener each stream is
// played from a script. What does not begin with its ticket it relays to where it wanted to go.

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "shm/control_protocol.hpp"
#include "shm/stream_record.hpp"
#include "shm/system/seqpacket.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/tls/certificates.hpp"
#include "tests/wrapper/loopback_listener.hpp"

namespace tlsmux::test {

struct EngineScript {
  std::uint16_t shared_port = 0;  // of the host; shared by address. 0: none is
  std::string shared_name{};      // shared by name. Empty: none is
  bool any_identity = false;
  bool refuses_questions = false;  // as for one that is no member
  bool refuses_announcements = false;
  bool refuses_streams = false;
  bool is_silent = false;     // never answers
  bool waits = false;         // at the gate, before it opens a stream
  bool dies_early = false;    // before it has opened a stream
  bool trickles = false;      // byte by byte
  bool is_elsewhere = false;  // in another network namespace, as it says
  std::uint32_t tls_version = 0x0304;
  std::uint32_t cipher_suite = 0x1302;
  std::string alpn{};
  std::vector<const Identity*> certificates{};
  std::vector<std::string> stream{};  // as in play()
};

class ScriptedEngine {
 public:
  // `script`'s certificates outlive it.
  ScriptedEngine(EngineScript script, int gate);
  ScriptedEngine(const ScriptedEngine&) = delete;
  ScriptedEngine& operator=(const ScriptedEngine&) = delete;
  ~ScriptedEngine();

  [[nodiscard]] std::string control_socket() const { return folder_.path("control.sock"); }
  [[nodiscard]] int questions() const { return questions_; }
  [[nodiscard]] int streams() const { return streams_; }
  [[nodiscard]] int relayed() const { return relayed_; }
  // Connections that nobody announced, or with another's ticket.
  [[nodiscard]] int strangers() const { return strangers_; }
  // Of the last stream.
  [[nodiscard]] shm::StreamStart last_start() const;

 private:
  struct Announced {
    shm::AnnounceStreamRequest request;
    std::array<std::uint8_t, shm::kStreamTicketBytes> ticket{};
  };

  void answer_all();
  void answer(int socket);
  void answer_match(int socket, const shm::MatchPeerRequest& request);
  void answer_announcement(int socket, const shm::AnnounceStreamRequest& request);
  void serve_all(const LoopbackListener& listener);
  void serve(shm::UniqueFd socket);
  void serve_stream(shm::UniqueFd& socket);

  TemporaryFolder folder_;
  EngineScript script_;
  int gate_;
  shm::UniqueFd control_;
  LoopbackListener listener_;
  LoopbackListener listener_6_;  // on the same port
  mutable std::mutex mutex_;
  std::map<std::uint16_t, Announced> announced_;  // by the local port
  shm::StreamStart last_start_;
  std::uint8_t tickets_ = 0;
  std::atomic<int> questions_ = 0;
  std::atomic<int> streams_ = 0;
  std::atomic<int> relayed_ = 0;
  std::atomic<int> strangers_ = 0;
  std::thread control_thread_;
  std::thread stream_thread_;
  std::thread stream_thread_6_;
};

}  // namespace tlsmux::test
