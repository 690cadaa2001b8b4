#include "client/cli/brief_client.hpp"

namespace tlsmux::client::cli {

std::expected<BriefClient, shm::SystemError> BriefClient::attach(const std::string& control_socket,
                                                                 const std::string& group) {
  auto socket = connect_to(control_socket);
  if (!socket) return std::unexpected(socket.error());
  BriefClient client(std::move(*socket));
  shm::AttachRequest request;
  shm::set_text(request.group, group);
  request.channels = 1;  // the fewest there are
  if (auto attached = client.ask<shm::AttachReply>(request); !attached) return std::unexpected(attached.error());
  if (auto told = client.tell(shm::MappedNotice{}); !told) return std::unexpected(told.error());
  return client;
}

}  // namespace tlsmux::client::cli
