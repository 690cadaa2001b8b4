#include "tests/broker/port_desk.hpp"

#include <sys/socket.h>

#include <array>
#include <cstring>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "shm/system/seqpacket.hpp"
#include "tests/ports/guard_rig.hpp"

namespace tlsmux::test {

using engine::broker::BrokerClient;
using engine::broker::Request;

config::GroupSettings group_with_ports(const std::string& name, config::PortEnforcementSettings enforcement) {
  config::GroupSettings group{.name = name, .users = {std::to_string(kMember)}, .unix_groups = {}, .memory = {}};
  group.ports.dynamic = {{.from = kFirstPortOfDesk, .to = kFirstPortOfDesk + 9}};
  group.ports.enforcement = enforcement;
  return group;
}

PortDesk::PortDesk(config::GroupSettings group, config::EngineSettings engine)
    : config{.engine = std::move(engine), .groups = {std::move(group)}, .upstreams = {}, .ssl_wrapper = {}},
      ports(config.engine, ::geteuid(), log) {}

PortDesk::~PortDesk() { ports.leave(); }

int PortDesk::error_of(const Request& request) {
  shm::Packet packet;
  packet.bytes.resize(sizeof request);
  std::memcpy(packet.bytes.data(), &request, sizeof request);
  return requests.answer(packet).reply.error;
}

void PortDesk::serve(const std::function<void(BrokerClient&)>& run) {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const shm::UniqueFd mine(ends[0]);
  std::jthread engine([&run, socket = shm::UniqueFd(ends[1])] {
    BrokerClient client(socket.get());
    run(client);
  });
  while (true) {
    const auto packet = shm::receive_packet(mine.get());
    if (!packet || packet->bytes.empty()) return;
    const auto answer = requests.answer(*packet);
    std::vector<int> descriptors;
    for (const auto& fd : answer.descriptors) descriptors.push_back(fd.get());
    REQUIRE(shm::send_packet(mine.get(), std::as_bytes(std::span(&answer.reply, 1)), descriptors));
  }
}

}  // namespace tlsmux::test
