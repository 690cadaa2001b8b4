#pragma once

// The tables of one group: its shared-memory object, as the broker makes it and the engine formats it.

#include <cstdint>
#include <expected>

#include "config/config.hpp"
#include "engine/broker/broker_client.hpp"
#include "shm/group_part.hpp"
#include "shm/segment.hpp"
#include "shm/system_error.hpp"
#include "shm/unique_fd.hpp"

namespace tlsmux::engine {

struct GroupMemory {
  shm::Mapping mapping;
  shm::UniqueFd readable;  // for handing out
  // The lock of a group that was added. Of others the engine has inherited it.
  shm::UniqueFd lock;
  shm::GroupPart part;
};

// `group` is its index in `config`, `place` where the broker has it, `identity` the engine's. Blocks on the broker.
std::expected<GroupMemory, shm::SystemError> make_group(broker::BrokerClient& broker, const config::Config& config,
                                                        std::uint32_t group, broker::ConfigPlace place,
                                                        shm::GroupIdentity identity);

}  // namespace tlsmux::engine
