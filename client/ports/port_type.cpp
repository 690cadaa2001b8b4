#include "client/ports/port_type.hpp"

namespace tlsmux::client {

std::optional<PortType> read_port_type(std::string_view text) {
  const auto colon = text.find(':');
  const auto kind = text.substr(0, colon);
  PortType type;
  if (kind == "dynamic") {
    type.kind = shm::PortClaimKind::dynamic;
  } else if (kind == "static") {
    type.kind = shm::PortClaimKind::labelled;
  } else {
    return std::nullopt;
  }
  if (colon == std::string_view::npos) return type;
  type.label = text.substr(colon + 1);
  if (type.label.empty() || type.label.size() > config::kPortLabelBytesMax) return std::nullopt;
  return type;
}

std::optional<ports::Protocol> read_protocol(std::string_view text) {
  for (const auto protocol : ports::kProtocols) {
    if (text == ports::name(protocol)) return protocol;
  }
  return std::nullopt;
}

}  // namespace tlsmux::client
