#include "engine/control/access.hpp"

#include <algorithm>
#include <cerrno>

#include "shm/assert.hpp"

namespace tlsmux::engine::control {
namespace {

// Root or the engine's user, when it connected and now.
bool is_operator(const ControlSettings& settings, const Peer& peer) {
  const auto is_one = [&](uid_t uid) { return std::ranges::find(settings.observers, uid) != settings.observers.end(); };
  return is_one(peer.uid) && is_one(peer.connected_as);
}

bool is_member(const ControlGroup& group, const Peer& peer) { return group.membership.is_member(peer.uid, peer.gids); }

std::expected<std::uint32_t, Denial> find_group(const ControlSettings& settings, std::string_view name) {
  const auto found = std::ranges::find_if(
      settings.groups, [&](const ControlGroup& group) { return group.name == name && !group.is_removed; });
  if (found != settings.groups.end()) return static_cast<std::uint32_t>(found - settings.groups.begin());
  return std::unexpected(Denial{.error = ENOENT, .text = "this engine has no such group; `tlsmux status` lists them"});
}

Denial stranger(const ControlGroup& group, const Peer& peer) {
  return {.error = EACCES,
          .text = "uid " + std::to_string(peer.uid) + " is not a member of group " + group.name +
                  ": neither one of its users nor in one of its Unix groups"};
}

std::string version_text(std::uint32_t version) {
  return std::to_string(version >> 16) + "." + std::to_string(version & 0xffff);
}

}  // namespace

std::expected<void, Denial> check_layout(std::uint32_t layout_version) {
  if (layout_version >> 16 == shm::kLayoutMajor) return {};
  return std::unexpected(Denial{.error = EPROTO,
                                .text = "the client library knows segment layout " + version_text(layout_version) +
                                        ", this engine " + version_text(shm::kLayoutVersion) +
                                        ": use the library that came with the engine"});
}

std::expected<std::uint32_t, Denial> find_group_of_member(const ControlSettings& settings, std::string_view name,
                                                          const Peer& peer) {
  const auto index = find_group(settings, name);
  if (!index) return index;
  const auto& group = settings.groups[*index];
  if (!is_member(group, peer)) return std::unexpected(stranger(group, peer));
  return index;
}

std::expected<std::vector<std::uint32_t>, Denial> find_groups_of_member(const ControlSettings& settings,
                                                                        std::string_view name, const Peer& peer) {
  if (!name.empty()) {
    const auto index = find_group_of_member(settings, name, peer);
    if (!index) return std::unexpected(index.error());
    return std::vector{*index};
  }
  std::vector<std::uint32_t> groups;
  for (std::uint32_t i = 0; i < settings.groups.size(); ++i) {
    if (!settings.groups[i].is_removed && is_member(settings.groups[i], peer)) groups.push_back(i);
  }
  if (!groups.empty()) return groups;
  return std::unexpected(Denial{
      .error = EACCES, .text = "uid " + std::to_string(peer.uid) + " is a member of none of the engine's groups"});
}

std::expected<std::uint32_t, Denial> find_group_of_observer(const ControlSettings& settings, std::string_view name,
                                                            const Peer& peer) {
  const auto index = find_group(settings, name);
  if (!index) return index;
  const auto& group = settings.groups[*index];
  if (!may_observe(settings, group, peer)) return std::unexpected(stranger(group, peer));
  return index;
}

bool may_observe(const ControlSettings& settings, const ControlGroup& group, const Peer& peer) {
  return is_operator(settings, peer) || is_member(group, peer);
}

std::expected<void, Denial> check_operator(const ControlSettings& settings, const Peer& peer) {
  if (is_operator(settings, peer)) return {};
  return std::unexpected(Denial{
      .error = EACCES, .text = "only root and the engine's user may do this, not uid " + std::to_string(peer.uid)});
}

std::expected<shm::ClientGeometry, Denial> grant_memory(const ControlGroup& group, std::uint32_t channels) {
  const auto& memory = group.memory;
  if (channels > memory.channels_per_client) {
    return std::unexpected(Denial{.error = EINVAL,
                                  .text = std::to_string(channels) + " channels asked for, but a client of group " +
                                          group.name + " may have " + std::to_string(memory.channels_per_client) +
                                          ": raise its memory/channels_per_client in the configuration"});
  }
  const shm::ClientGeometry geometry{.channels = channels != 0 ? channels : memory.channels_per_client,
                                     .slots_per_channel = memory.slots_per_channel,
                                     .slot_bytes = memory.slot_bytes};
  TMX_ASSERT(geometry.valid());  // the configuration was checked
  return geometry;
}

}  // namespace tlsmux::engine::control
