#include "client/cli/served_group.hpp"

#include "ports/diagnosis/live_groups.hpp"
#include "shm/segment.hpp"
#include "shm/system/owner.hpp"

namespace tlsmux::client::cli {

std::optional<std::string> served_by(const std::string& group) {
  const auto server = ports::server_of(group);
  if (!server) return std::nullopt;
  auto text = "group " + group + " is served by a live engine";
  if (server->pid != 0) text += " (pid " + std::to_string(server->pid) + ")";
  if (!shm::is_root_or_own(server->uid)) {
    text += " of user " + std::to_string(server->uid) + " (if that user runs none, remove /dev/shm/" +
            shm::group_object_name(group) + ".lock)";
  }
  return text;
}

}  // namespace tlsmux::client::cli
