#pragma once

// What a group's tables of ports say at one moment, as plain values.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ports/protocol.hpp"
#include "shm/layout.hpp"

namespace tlsmux::test {

struct PortFacts {
  ports::Port port;
  shm::PortState state{};
  std::uint8_t flags = 0;
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;
  std::uint64_t socket_inode = 0;
  std::string program;
  std::string service;
  std::string label;
};

struct DenialFacts {
  std::uint64_t number = 0;
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;
  ports::Port port;
};

// Those that are not free. All of these fail the test if there is no such group.
std::vector<PortFacts> port_facts(const std::string& group);
// Nothing: it is free.
std::optional<PortFacts> port_facts(const std::string& group, ports::Port port);
shm::PortState port_state(const std::string& group, ports::Port port);

struct PortSummary {
  std::array<std::uint32_t, 2> dynamic_ports{};  // by protocol
  std::array<std::uint32_t, 2> dynamic_free{};
  std::uint64_t denials = 0;
  shm::PortEnforcement reservation{};
  shm::PortEnforcement guard{};
};
PortSummary port_summary(const std::string& group);

std::vector<DenialFacts> port_denials(const std::string& group);

// For a failure's message: "tcp/12000 bound 4711".
std::string words_of(const std::vector<PortFacts>& facts);

}  // namespace tlsmux::test
