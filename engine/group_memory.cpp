#include "engine/group_memory.hpp"

#include <utility>

#include "engine/status_board.hpp"

namespace tlsmux::engine {

std::expected<GroupMemory, shm::SystemError> make_group(broker::BrokerClient& broker, const config::Config& config,
                                                        std::uint32_t group, broker::ConfigPlace place,
                                                        shm::GroupIdentity identity) {
  const auto tables = group_tables(config, group);
  auto object = broker.create_group_object(place, tables.total_bytes());
  if (!object) return std::unexpected(object.error());
  auto mapping = shm::Mapping::map(object->writable.get(), tables.total_bytes(), shm::Access::read_write);
  if (!mapping) return std::unexpected(mapping.error());
  identity.group = config.groups[group].name;
  GroupMemory memory{.mapping = std::move(*mapping),
                     .readable = std::move(object->readable),
                     .lock = std::move(object->lock),
                     .part = {}};
  memory.part = shm::GroupPart::format(memory.mapping.bytes(), tables, identity);
  return memory;
}

}  // namespace tlsmux::engine
