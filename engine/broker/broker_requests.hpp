#pragma once

// Answers what an engine asks of its broker. Every packet is checked as if an enemy had sent it: what the engine may
// have follows from the configuration alone. Does no waiting, except for the file system.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "engine/broker/answer.hpp"
#include "engine/broker/broker_protocol.hpp"
#include "engine/broker/candidate_config.hpp"
#include "engine/broker/port_enforcement.hpp"
#include "engine/broker/predecessor_objects.hpp"
#include "engine/broker/trace_locks.hpp"
#include "engine/broker/trace_store.hpp"
#include "engine/log/log.hpp"
#include "shm/system/seqpacket.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::broker {

// Set to 1 in the environment of tlsmuxd, it allows key logs: nobody switches them on by a change in one place.
inline constexpr const char* kAllowKeyLogVariable = "TLSMUX_ALLOW_KEY_LOG";

// What the answers come from. What it refers to outlives it.
struct RequestScope {
  const config::Config& config;
  Log& log;
  uid_t engine_uid = 0;
  gid_t engine_gid = 0;
  // Whether secrets of sessions may be logged, for upstreams whose settings ask for it.
  bool key_log_allowed = false;
  // Null: the configuration cannot be changed. Adopting changes `config`.
  CandidateConfig* candidate = nullptr;
  // Null: this broker looks after no ports.
  PortEnforcement* ports = nullptr;
  // Null: engines learn nothing from those before them.
  PredecessorObjects* predecessors = nullptr;
  // Null: nobody else counts these trace numbers.
  TraceLocks* trace_locks = nullptr;
};

// For the life of one engine.
class BrokerRequests {
 public:
  explicit BrokerRequests(const RequestScope& scope) : scope_(scope) {}

  // Whose requests they are. 0: not known.
  void set_engine(pid_t pid) { engine_pid_ = pid; }
  // The descriptor stays the caller's. -1: not yet.
  void set_listener(int descriptor) { listener_ = descriptor; }

  Answer answer(const shm::Packet& packet);

  // The engine has said so.
  [[nodiscard]] bool serving() const { return serving_; }
  // Packets that were not requests.
  [[nodiscard]] std::uint32_t malformed() const { return malformed_; }

 private:
  using Handler = Answer (BrokerRequests::*)(const Request&);
  struct Row;
  static const Row kRows[];

  Answer malformed_answer(const Request& request);
  Answer open_listener(const Request& request);
  Answer create_group_object(const Request& request);
  Answer remove_group_objects(const Request& request);
  Answer open_file(const Request& request);
  Answer open_key_log(const config::UpstreamSettings& upstream, const Request& request);
  Answer open_directory_entry(const config::TlsSettings& tls, const Request& request);
  Answer report_serving(const Request& request);
  Answer reserve_trace_numbers(const Request& request);
  void log_lost_trace_numbers(const config::UpstreamSettings& upstream, TraceMemory memory);
  Answer load_candidate(const Request& request);
  Answer adopt_candidate(const Request& request);
  Answer drop_candidate(const Request& request);
  // In broker_port_requests.cpp.
  Answer open_predecessor(const Request& request);
  Answer find_socket_owners(const Request& request);
  Answer port_enforcement(const Request& request);
  Answer open_guard_events(const Request& request);
  Answer admit_to_guard(const Request& request);
  Answer dismiss_from_guard(const Request& request);
  Answer watch_port_enforcement(const Request& request);
  // The configuration or the candidate, as it says; null: there is none.
  [[nodiscard]] const config::Config* find_config(const Request& request) const;
  [[nodiscard]] const config::GroupSettings* find_group(const Request& request) const;
  // The upstream that it names, of the configuration or the candidate; null when there is none.
  [[nodiscard]] const config::UpstreamSettings* find_upstream(const Request& request) const;

  const RequestScope& scope_;
  int listener_ = -1;
  pid_t engine_pid_ = 0;
  bool serving_ = false;
  std::uint32_t malformed_ = 0;
  std::vector<std::string> directory_files_;  // of the directory that was last read from entry 0
  std::string directory_;                     // its path
  TraceStore trace_store_;
};

}  // namespace tlsmux::engine::broker
