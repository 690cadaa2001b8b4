#include "client/cli/observe.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "client/cli/control_request.hpp"
#include "ports/diagnosis/live_groups.hpp"
#include "shm/control_protocol.hpp"
#include "shm/system/owner.hpp"

namespace tlsmux::client::cli {
namespace {

using shm::SystemError;

std::expected<ObservedGroup, SystemError> map_object(const std::string& name, int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return std::unexpected(shm::last_error("asking the size of the group's tables"));
  auto mapping = shm::Mapping::map(fd, static_cast<std::uint64_t>(status.st_size), shm::Access::read_only);
  if (!mapping) return std::unexpected(mapping.error());
  auto view = shm::GroupView::open(mapping->bytes());
  if (!view) return std::unexpected(view.error());
  return ObservedGroup{.name = name, .mapping = std::move(*mapping), .view = *view};
}

// Others can neither hold the lock nor write into it.
bool is_served(const std::string& group, std::uint32_t engine_pid) {
  const auto server = ports::server_of(group);
  return server && shm::is_root_or_own(server->uid) && server->pid != 0 && server->pid == engine_pid;
}

std::optional<std::uint32_t> stranger_of(const ObservedGroup& observed, int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0 || shm::is_root_or_own(status.st_uid)) return std::nullopt;
  if (is_served(observed.name, observed.view.header().engine_pid)) return std::nullopt;
  return status.st_uid;
}

std::expected<ObservedGroup, SystemError> map_left_object(const std::string& name, int fd) {
  auto observed = map_object(name, fd);
  if (observed) {
    observed->engine_answers = false;
    observed->stranger = stranger_of(*observed, fd);
    observed->process = sight_of(observed->view.header().engine_pid);
  }
  return observed;
}

bool is_no_engine(int code) { return code == ECONNREFUSED || code == ETIMEDOUT; }

}  // namespace

std::expected<std::vector<std::string>, SystemError> list_groups(const std::string& control_socket) {
  shm::ListGroupsReply reply;
  const auto packet = ask(control_socket, shm::ListGroupsRequest{}, reply);
  if (!packet) return std::unexpected(packet.error());
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(reply.count, config::kGroupsMax); ++i) {
    names.emplace_back(shm::text_of(reply.names[i]));
  }
  return names;
}

std::expected<std::vector<std::string>, SystemError> choose_groups(const std::string& control_socket,
                                                                   const std::string& named) {
  if (!named.empty()) return std::vector{named};
  auto groups = list_groups(control_socket);
  if (!groups && is_no_engine(groups.error().code)) {
    auto error = groups.error();
    if (error.code == ETIMEDOUT) error.message += ": is tlsmuxd running?";
    error.message += " Name a group (--group) to see what the last engine may have left";
    return std::unexpected(error);
  }
  if (groups && groups->empty()) {
    return std::unexpected(SystemError{.code = EACCES, .message = "there is no group that this user may look at"});
  }
  return groups;
}

std::expected<ObservedGroup, SystemError> observe_group(const std::string& control_socket, const std::string& group) {
  shm::ObserveRequest request;
  shm::set_text(request.group, group);
  shm::ObserveReply reply;
  const auto packet = ask(control_socket, request, reply);
  if (packet) {
    if (packet->descriptors.size() != 1) {
      return std::unexpected(SystemError{.code = EPROTO, .message = "the engine sent no tables"});
    }
    return map_object(group, packet->descriptors.front().get());
  }
  if (!is_no_engine(packet.error().code)) return std::unexpected(packet.error());
  const auto object = shm::open_group_object(group);
  if (!object) return std::unexpected(packet.error());
  return map_left_object(group, object->get());
}

std::expected<ObservedGroup, SystemError> observe_left_group(const std::string& group) {
  const auto object = shm::open_group_object(group);
  if (!object) return std::unexpected(object.error());
  return map_left_object(group, object->get());
}
}  // namespace tlsmux::client::cli
