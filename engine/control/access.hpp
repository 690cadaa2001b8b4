#pragma once

// Who may do what over the control socket, and how much memory a client gets. Pure judgement: no system calls.

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "engine/control/control_settings.hpp"
#include "engine/control/peer.hpp"
#include "shm/geometry.hpp"

namespace tlsmux::engine::control {

// Goes to the client as a Refusal: an errno, and words that say what to do.
struct Denial {
  int error = 0;
  std::string text;
};

// EPROTO unless the client's major layout version is ours.
std::expected<void, Denial> check_layout(std::uint32_t layout_version);

// The index of the group, in which `peer` is a member. ENOENT: no such group; EACCES: a stranger.
std::expected<std::uint32_t, Denial> find_group_of_member(const ControlSettings& settings, std::string_view name,
                                                          const Peer& peer);

// All groups in which `peer` is a member; of a named one no more than that. ENOENT: no such group; EACCES: a stranger.
std::expected<std::vector<std::uint32_t>, Denial> find_groups_of_member(const ControlSettings& settings,
                                                                        std::string_view name, const Peer& peer);

// Looking on: members, root, the engine's user. The same errors.
std::expected<std::uint32_t, Denial> find_group_of_observer(const ControlSettings& settings, std::string_view name,
                                                            const Peer& peer);
bool may_observe(const ControlSettings& settings, const ControlGroup& group, const Peer& peer);

// Giving orders to the engine: root and the engine's user. EACCES.
std::expected<void, Denial> check_operator(const ControlSettings& settings, const Peer& peer);

// `channels` of 0 is as many as a client of the group may have. EINVAL beyond that.
std::expected<shm::ClientGeometry, Denial> grant_memory(const ControlGroup& group, std::uint32_t channels);

}  // namespace tlsmux::engine::control
