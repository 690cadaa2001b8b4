#include "engine/mux/session_source.hpp"

#include <cerrno>
#include <utility>

namespace tlsmux::engine::mux {

std::expected<ConnectOptions, std::string> take_source(Upstream& upstream, Session& session) {
  auto options = upstream.connect_options;
  const auto& group = upstream.settings->tcp.source_ports;
  if (group.empty()) return options;
  const auto port = upstream.source_ports.take();
  if (!port) {
    const auto count = upstream.source_ports.count();
    if (count > 0) {
      return std::unexpected("all " + std::to_string(count) + " source ports of group " + group + " are in use");
    }
    return std::unexpected("no source port of group " + group + " could be had; tlsmux ports " + group +
                           " shows who has them");
  }
  session.source_port = *port;
  if (!options.source) options.source = Address{.family = session.address.family};
  options.source->port = *port;
  return options;
}

void give_source_back(Upstream& upstream, Session& session) {
  if (session.source_port != 0) upstream.source_ports.give_back(std::exchange(session.source_port, 0));
}

bool is_worth_another_port(const Upstream& upstream, Session& session, int error) {
  const bool is_of_port = session.source_port != 0 && (error == EADDRINUSE || error == EADDRNOTAVAIL);
  if (is_of_port && ++session.source_ports_tried < upstream.source_ports.count()) return true;
  session.source_ports_tried = 0;
  return false;
}

shm::Reason reason_of_connect_error(int error) {
  switch (error) {
    case ECONNREFUSED: return shm::Reason::connect_refused;
    case ETIMEDOUT: return shm::Reason::connect_timeout;
    default: return shm::Reason::connect_failed;
  }
}

std::string source_in_words(const Upstream& upstream, const Session& session) {
  const auto& address = upstream.settings->tcp.source_address;
  const std::string from = address.empty() ? "" : " from source_address " + address;
  return session.source_port == 0 ? from : from + " from source port " + std::to_string(session.source_port);
}

}  // namespace tlsmux::engine::mux
