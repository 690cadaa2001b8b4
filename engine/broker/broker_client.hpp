#pragma once

// The engine's side of its socket to the broker.

#include <cstdint>
#include <expected>
#include <mutex>
#include <span>
#include <string>

#include "engine/broker/broker_protocol.hpp"
#include "engine/trace_blocks.hpp"
#include "shm/system_error.hpp"
#include "shm/unique_fd.hpp"

namespace tlsmux::engine::broker {

struct GroupObject {
  shm::UniqueFd writable;
  shm::UniqueFd readable;  // for members
  shm::UniqueFd lock;      // of one of the candidate's groups; it holds as long as somebody has it
};

// A group's or upstream's place in the configuration, or in the candidate.
struct ConfigPlace {
  std::uint32_t index = 0;
  bool in_candidate = false;
};

// What the broker has found where the configuration file is.
struct CandidateText {
  bool is_refused = false;
  std::string text;  // of the bundle; refused: the errors, one a line
};

// Any thread, one request at a time. Every call blocks until the broker answers, 10 seconds at the most, hence none of
// them from a data loop. Errors: what the broker says, EPIPE when it is dead, ETIMEDOUT.
class BrokerClient {
 public:
  // The socket stays the caller's and outlives this.
  explicit BrokerClient(int socket) : socket_(socket) {}

  std::expected<shm::UniqueFd, shm::SystemError> open_listener();
  std::expected<GroupObject, shm::SystemError> create_group_object(ConfigPlace group, std::uint64_t bytes);
  std::expected<void, shm::SystemError> remove_group_objects();
  // ENOENT when the configuration names no such file. For `ca_directory_entry`, count `entry` from 0 until ENOENT.
  std::expected<shm::UniqueFd, shm::SystemError> open_file(FileKind file, ConfigPlace upstream,
                                                           std::uint32_t entry = 0);
  std::expected<void, shm::SystemError> report_serving();
  // The next blocks of the round, so many at the most; at least one.
  std::expected<TraceReservation, shm::SystemError> reserve_trace_numbers(std::uint32_t upstream,
                                                                          const TraceNeed& need);

  // Reads the configuration file anew, and takes the locks of the groups that it adds. Indexes with `in_candidate` then
  // mean what was read, until it is adopted or dropped. ENOENT: this broker has no file to read.
  std::expected<CandidateText, shm::SystemError> load_candidate();
  std::expected<void, shm::SystemError> adopt_candidate();
  std::expected<void, shm::SystemError> drop_candidate();

 private:
  // Fills `descriptors`, all of them, on success.
  std::expected<Reply, shm::SystemError> call(Request request, std::span<shm::UniqueFd> descriptors);
  std::expected<shm::UniqueFd, shm::SystemError> call_for_one(const Request& request);
  std::expected<Reply, shm::SystemError> receive(const Request& request, std::span<shm::UniqueFd> descriptors);

  int socket_;
  std::mutex mutex_;
  std::uint64_t sequence_ = 0;
};

}  // namespace tlsmux::engine::broker
