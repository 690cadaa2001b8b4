#include "tests/system/port_status.hpp"

#include <algorithm>
#include <utility>

#include <doctest/doctest.h>

#include "shm/control_protocol.hpp"
#include "tests/system/group_status.hpp"
#include "tests/system/read_surely.hpp"

namespace tlsmux::test {
namespace {

ports::Protocol protocol_of(std::uint8_t bit) {
  return bit == shm::kPortUdp ? ports::Protocol::udp : ports::Protocol::tcp;
}

PortFacts facts_of(const shm::PortRow& row) {
  return {.port = {.protocol = protocol_of(row.protocol), .number = row.port},
          .state = row.state,
          .flags = row.flags,
          .pid = row.pid,
          .uid = row.uid,
          .socket_inode = row.socket_inode,
          .program = std::string(shm::text_of(row.program)),
          .service = std::string(shm::text_of(row.service)),
          .label = std::string(shm::text_of(row.label))};
}

const char* word_of(shm::PortState state) {
  constexpr std::array kWords{"free", "leased", "claimed", "bound", "orphan", "quarantine", "external"};
  const auto number = static_cast<std::size_t>(state);
  return number < kWords.size() ? kWords[number] : "?";
}

}  // namespace

std::vector<PortFacts> port_facts(const std::string& group) {
  std::vector<PortFacts> facts;
  look_at_group(group, [&](const shm::GroupView& view) {
    for (std::uint32_t i = 0; i < view.ports().size(); ++i) {
      shm::PortRow row;
      read_surely(view.ports()[i], row);
      if (row.state != shm::PortState::free) facts.push_back(facts_of(row));
    }
  });
  std::ranges::sort(facts, {}, &PortFacts::port);
  return facts;
}

std::optional<PortFacts> port_facts(const std::string& group, ports::Port port) {
  for (auto& facts : port_facts(group)) {
    if (facts.port == port) return std::move(facts);
  }
  return std::nullopt;
}

shm::PortState port_state(const std::string& group, ports::Port port) {
  const auto facts = port_facts(group, port);
  return facts ? facts->state : shm::PortState::free;
}

PortSummary port_summary(const std::string& group) {
  shm::PortSummaryRow row;
  look_at_group(group, [&](const shm::GroupView& view) {
    REQUIRE(view.port_summaries().size() == 1);
    read_surely(view.port_summaries()[0], row);
  });
  return {.dynamic_ports = row.dynamic_ports,
          .dynamic_free = row.dynamic_free,
          .denials = row.denials,
          .reservation = row.reservation,
          .guard = row.guard};
}

std::vector<DenialFacts> port_denials(const std::string& group) {
  std::vector<DenialFacts> denials;
  look_at_group(group, [&](const shm::GroupView& view) {
    for (std::uint32_t i = 0; i < view.port_denials().size(); ++i) {
      shm::PortDenialRow row;
      read_surely(view.port_denials()[i], row);
      if (row.number == 0) continue;
      denials.push_back({.number = row.number,
                         .pid = row.pid,
                         .uid = row.uid,
                         .port = {.protocol = protocol_of(row.protocol), .number = row.port}});
    }
  });
  std::ranges::sort(denials, {}, &DenialFacts::number);
  return denials;
}

std::string words_of(const std::vector<PortFacts>& facts) {
  std::string words;
  for (const auto& one : facts) {
    words += std::string(ports::name(one.port.protocol)) + "/" + std::to_string(one.port.number) + " " +
             word_of(one.state) + " " + std::to_string(one.pid) + "\n";
  }
  return words;
}

}  // namespace tlsmux::test
