#pragma once

// The engine's side of its socket to the broker.

#include <cstdint>
#include <expected>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/broker/broker_protocol.hpp"
#include "engine/broker/port_levels.hpp"
#include "engine/shard/trace_blocks.hpp"
#include "ports/diagnosis/socket_owner.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

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

  // For reading: the object of the group that an engine before this one had, until this one has reported that it serves.
  // It may be of any content: the broker knows who made it, not what was written. Nothing: there is none.
  std::expected<std::optional<shm::UniqueFd>, shm::SystemError> open_predecessor(ConfigPlace group);
  // Of those sockets that are on ports of the configured groups, the ones whose process was found. Asks the broker for
  // kSocketOwnersMax at a time, some milliseconds each.
  std::expected<std::vector<ports::SocketOwner>, shm::SystemError> find_socket_owners(
      std::span<const std::uint64_t> socket_inodes);
  // As it is now: changes when a candidate is adopted.
  std::expected<PortLevels, shm::SystemError> port_enforcement(ConfigPlace group);
  // A non-blocking eventfd that counts when the broker has changed that by itself: it has put back what others took
  // away, so that the guard is another one, or has failed to. Empty: this broker looks after no ports.
  std::expected<shm::UniqueFd, shm::SystemError> watch_port_enforcement();
  // For ports::GuardEvents. Nothing: there is no guard. Another one may be there after a candidate was adopted, or by
  // what watch_port_enforcement() tells.
  std::expected<std::vector<shm::UniqueFd>, shm::SystemError> open_guard_events();
  // A process that is a member by a supplementary Unix group, which the guard does not see. The broker looks for itself,
  // and dismisses it when it is dead. EACCES: it is no member; ESRCH: it is dead; ENOENT: the group has no guard;
  // EAGAIN: as many as the group may have clients are admitted.
  std::expected<void, shm::SystemError> admit_to_guard(ConfigPlace group, std::uint32_t pid);
  std::expected<void, shm::SystemError> dismiss_from_guard(ConfigPlace group, std::uint32_t pid);

 private:
  struct Answered {
    Reply reply;
    std::vector<shm::UniqueFd> descriptors;
  };
  // Fills `descriptors`, all of them, on success.
  std::expected<Reply, shm::SystemError> call(const Request& request, std::span<shm::UniqueFd> descriptors);
  std::expected<shm::UniqueFd, shm::SystemError> call_for_one(const Request& request);
  std::expected<Answered, shm::SystemError> call_for_any(Request request);
  std::expected<Answered, shm::SystemError> receive(const Request& request);

  int socket_;
  std::mutex mutex_;
  std::uint64_t sequence_ = 0;
};

}  // namespace tlsmux::engine::broker
