#pragma once

// A broker's desk for requests about ports, and an engine's client that it answers.

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <string>

#include "config/config.hpp"
#include "engine/broker/broker_client.hpp"
#include "engine/broker/broker_requests.hpp"
#include "tests/support/temporary_folder.hpp"

namespace tlsmux::test {

inline constexpr std::uint16_t kFirstPortOfDesk = 12'000;

// Of kMember (tests/ports/guard_rig.hpp), with ten dynamic ports of both protocols.
config::GroupSettings group_with_ports(const std::string& name, config::PortEnforcementSettings enforcement);

struct PortDesk {
  TemporaryFolder folder{"/dev/shm"};
  config::Config config;
  engine::Log log{config::LogLevel::error, shm::UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC)),
                  engine::Log::Mode::synchronous};
  engine::broker::GroupLocks locks{{}};
  engine::broker::PortEnforcement ports;
  engine::broker::PredecessorObjects predecessors{::geteuid()};
  engine::broker::CandidateConfig candidate{config, locks, folder.path() + "/config.json", &ports};
  engine::broker::RequestScope scope{.config = config,
                                     .log = log,
                                     .engine_uid = ::geteuid(),
                                     .engine_gid = ::getegid(),
                                     .candidate = &candidate,
                                     .ports = &ports,
                                     .predecessors = &predecessors};
  engine::broker::BrokerRequests requests{scope};

  explicit PortDesk(config::GroupSettings group, config::EngineSettings engine = {});
  // As tlsmuxd when it stops.
  ~PortDesk();

  int error_of(const engine::broker::Request& request);
  // What an engine does in a thread of its own, while this one answers.
  void serve(const std::function<void(engine::broker::BrokerClient&)>& run);
};

}  // namespace tlsmux::test
