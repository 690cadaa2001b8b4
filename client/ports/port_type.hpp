#pragma once

// The words by which applications say which port they want: see tmx_bind_service.

#include <optional>
#include <string_view>

#include "ports/protocol.hpp"
#include "shm/control_protocol.hpp"

namespace tlsmux::client {

struct PortType {
  shm::PortClaimKind kind{};
  std::string_view label{};  // empty: none

  friend bool operator==(const PortType&, const PortType&) = default;
};

// "dynamic", "static", each with or without ":LABEL". Nothing: it is none of these, or the label is too long. The label
// lies in the text.
std::optional<PortType> read_port_type(std::string_view text);

// "tcp" or "udp".
std::optional<ports::Protocol> read_protocol(std::string_view text);

}  // namespace tlsmux::client
