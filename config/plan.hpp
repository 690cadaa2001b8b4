#pragma once

// What a new configuration changes in a running engine, setting by setting, and whether it can be changed there.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/words.hpp"

namespace tlsmux::config {

// When a change takes effect.
enum class Effect : std::uint8_t {
  immediate,
  new_clients,           // for clients that attach from then on
  new_channels,          // for channels that are opened from then on
  new_streams,           // for streams that are opened from then on
  new_sessions,          // for sessions that are made from then on
  new_sessions_replace,  // the same, and those that there are are replaced in good order
  upstream_restart,      // the upstream is drained and started anew
  engine_restart,        // not live
};

struct Change {
  enum class Kind : std::uint8_t { added, removed, changed };

  Kind kind = Kind::changed;
  std::string pointer;  // JSON pointer in the new configuration; of what was removed, in the old one
  std::string words;    // such as: upstream "visa": queue_max 4096 -> 8192
  Effect effect = Effect::immediate;
  bool live = true;
  std::string why_not = {};  // where it is not live
};

template <>
inline constexpr auto kWords<Effect> = std::to_array<Word<Effect>>({
    {"immediate", Effect::immediate},
    {"new_clients", Effect::new_clients},
    {"new_channels", Effect::new_channels},
    {"new_streams", Effect::new_streams},
    {"new_sessions", Effect::new_sessions},
    {"new_sessions_replace", Effect::new_sessions_replace},
    {"upstream_restart", Effect::upstream_restart},
    {"engine_restart", Effect::engine_restart},
});

template <>
inline constexpr auto kWords<Change::Kind> = std::to_array<Word<Change::Kind>>({
    {"added", Change::Kind::added},
    {"removed", Change::Kind::removed},
    {"changed", Change::Kind::changed},
});

// Groups and upstreams are told apart by their names: where they stand is no setting. Both configurations must have
// passed check(). Nothing at all: the two mean the same.
std::vector<Change> plan(const Config& from, const Config& to);

bool all_live(std::span<const Change> changes);

// One line for each change, and one that sums up.
std::string plan_text(std::span<const Change> changes);

// Such as "at once".
std::string_view effect_in_words(Effect effect);

}  // namespace tlsmux::config
