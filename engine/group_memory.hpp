#pragma once

// The tables of one group: its shared-memory object, as the broker makes it and the engine formats it.

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "engine/broker/broker_client.hpp"
#include "ports/book/port_book.hpp"
#include "shm/group_part.hpp"
#include "shm/segment.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine {

struct GroupMemory {
  shm::Mapping mapping;
  shm::UniqueFd readable;  // for handing out
  // The lock of a group that was added. Of others the engine has inherited it.
  shm::UniqueFd lock;
  shm::GroupPart part;
};

// What an engine before this one has left in the tables of the group's ports: nothing unless it died. Blocks on the
// broker. Before make_group().
std::expected<std::vector<ports::PortEntry>, shm::SystemError> read_dead_engines_ports(broker::BrokerClient& broker,
                                                                                       const std::string& group,
                                                                                       broker::ConfigPlace place,
                                                                                       std::int64_t wall_offset_s);

// `group` is its index in `config`, `place` where the broker has it, `identity` the engine's. Blocks on the broker.
std::expected<GroupMemory, shm::SystemError> make_group(broker::BrokerClient& broker, const config::Config& config,
                                                        std::uint32_t group, broker::ConfigPlace place,
                                                        shm::GroupIdentity identity);

}  // namespace tlsmux::engine
