#pragma once

// The engine's side of its socket to the broker.

#include <cstdint>
#include <expected>
#include <mutex>
#include <span>

#include "engine/broker/broker_protocol.hpp"
#include "shm/system_error.hpp"
#include "shm/unique_fd.hpp"

namespace tlsmux::engine::broker {

struct GroupObject {
  shm::UniqueFd writable;
  shm::UniqueFd readable;  // for members
};

// Any thread, one request at a time. Every call blocks until the broker answers, 10 seconds at the most, hence none of
// them from a data loop. Errors: what the broker says, EPIPE when it is dead, ETIMEDOUT.
class BrokerClient {
 public:
  // The socket stays the caller's and outlives this.
  explicit BrokerClient(int socket) : socket_(socket) {}

  std::expected<shm::UniqueFd, shm::SystemError> open_listener();
  std::expected<GroupObject, shm::SystemError> create_group_object(std::uint32_t group, std::uint64_t bytes);
  std::expected<void, shm::SystemError> remove_group_objects();
  // ENOENT when the configuration names no such file. For `ca_directory_entry`, count `entry` from 0 until ENOENT.
  std::expected<shm::UniqueFd, shm::SystemError> open_file(FileKind file, std::uint32_t upstream,
                                                           std::uint32_t entry = 0);
  std::expected<void, shm::SystemError> report_serving();

 private:
  // Fills `descriptors`, all of them, on success.
  std::expected<void, shm::SystemError> call(Request request, std::span<shm::UniqueFd> descriptors);
  std::expected<shm::UniqueFd, shm::SystemError> call_for_one(const Request& request);
  std::expected<void, shm::SystemError> receive(const Request& request, std::span<shm::UniqueFd> descriptors);

  int socket_;
  std::mutex mutex_;
  std::uint64_t sequence_ = 0;
};

}  // namespace tlsmux::engine::broker
