#include "engine/group_memory.hpp"

#include <sys/stat.h>

#include <utility>

#include "engine/ports/predecessor.hpp"
#include "engine/shard/status_board.hpp"

namespace tlsmux::engine {

std::expected<std::vector<ports::PortEntry>, shm::SystemError> read_dead_engines_ports(broker::BrokerClient& broker,
                                                                                       const std::string& group,
                                                                                       broker::ConfigPlace place,
                                                                                       std::int64_t wall_offset_s) {
  const auto object = broker.open_predecessor(place);
  if (!object) return std::unexpected(object.error());
  if (!*object) return {};
  struct stat status{};
  if (::fstat((*object)->get(), &status) != 0)
    return std::unexpected(shm::last_error("looking at a dead engine's tables"));
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  if (bytes == 0 || bytes > broker::kGroupBytesMax) return {};
  const auto mapping = shm::Mapping::map((*object)->get(), bytes, shm::Access::read_only);
  if (!mapping) return std::unexpected(mapping.error());
  return read_predecessor(mapping->bytes(), group, wall_offset_s);
}

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
