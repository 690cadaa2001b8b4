#include "client/cli/observe.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>

#include "shm/control_protocol.hpp"
#include "shm/seqpacket.hpp"

namespace tlsmux::client::cli {
namespace {

constexpr int kAnswerTimeoutMs = 3000;

using shm::SystemError;

std::expected<shm::UniqueFd, SystemError> connect_to(const std::string& control_socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (control_socket.size() >= sizeof address.sun_path) {
    return std::unexpected(SystemError{.code = ENAMETOOLONG, .message = control_socket + ": too long for a socket"});
  }
  std::ranges::copy(control_socket, address.sun_path);
  shm::UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return std::unexpected(shm::last_error("making a socket"));
  const timeval timeout{.tv_sec = kAnswerTimeoutMs / 1000, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return std::unexpected(shm::last_error("connecting to " + control_socket));
  }
  return socket;
}

// Sends one request and returns its answer; a refusal is an error.
template <typename Answer, typename Request>
std::expected<shm::Packet, SystemError> ask(const std::string& control_socket, const Request& request, Answer& answer) {
  const auto socket = connect_to(control_socket);
  if (!socket) return std::unexpected(socket.error());
  if (auto sent = shm::send_message(socket->get(), request); !sent) return std::unexpected(sent.error());
  if (auto ready = shm::wait_readable(socket->get(), kAnswerTimeoutMs); !ready) return std::unexpected(ready.error());
  auto packet = shm::receive_packet(socket->get());
  if (!packet) return std::unexpected(packet.error());
  if (shm::Refusal refusal; shm::read_message(*packet, refusal)) {
    return std::unexpected(SystemError{.code = refusal.error, .message = std::string(shm::text_of(refusal.text))});
  }
  if (!shm::read_message(*packet, answer)) {
    return std::unexpected(SystemError{.code = EPROTO, .message = control_socket + ": no answer that I understand"});
  }
  return packet;
}

std::expected<ObservedGroup, SystemError> map_object(const std::string& name, int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return std::unexpected(shm::last_error("asking the size of the group's tables"));
  auto mapping = shm::Mapping::map(fd, static_cast<std::uint64_t>(status.st_size), shm::Access::read_only);
  if (!mapping) return std::unexpected(mapping.error());
  auto view = shm::GroupView::open(mapping->bytes());
  if (!view) return std::unexpected(view.error());
  return ObservedGroup{.name = name, .engine_answers = true, .mapping = std::move(*mapping), .view = *view};
}

bool is_no_engine(int code) { return code == ECONNREFUSED || code == ENOENT || code == ETIMEDOUT; }

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
  auto observed = map_object(group, object->get());
  if (observed) observed->engine_answers = false;
  return observed;
}

}  // namespace tlsmux::client::cli
