#pragma once

// Looks at a group's tables, read-only: through the engine's control socket, or, when no engine answers there, at the
// object that the last one left in /dev/shm.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/process_facts.hpp"
#include "shm/group_part.hpp"
#include "shm/segment.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::client::cli {

struct ObservedGroup {
  std::string name;
  bool engine_answers = true;
  // Whose object it is when none answers, unless it is root's or the caller's, or the lock of one of these names its engine.
  std::optional<std::uint32_t> stranger = {};
  std::optional<ProcessSight> process = {};  // when none answers: what has the pid in the tables now
  shm::Mapping mapping;
  shm::GroupView view;  // into the mapping
};

// The groups that the caller may look at. ECONNREFUSED: no engine; ETIMEDOUT: it does not answer.
std::expected<std::vector<std::string>, shm::SystemError> list_groups(const std::string& control_socket);

// The one that was named, else all that the caller may look at: at least one. The error says what to do.
std::expected<std::vector<std::string>, shm::SystemError> choose_groups(const std::string& control_socket,
                                                                        const std::string& named);

// EACCES: neither a member, nor root, nor the engine's user. Blocks for some seconds at the most.
std::expected<ObservedGroup, shm::SystemError> observe_group(const std::string& control_socket,
                                                             const std::string& group);

// What is in /dev/shm under the group's name, whoever has put it there.
std::expected<ObservedGroup, shm::SystemError> observe_left_group(const std::string& group);

}  // namespace tlsmux::client::cli
