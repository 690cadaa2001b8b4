#pragma once

// What the pool asks about sessions that are leased.

#include <cstdint>
#include <optional>

#include "engine/mux/state.hpp"

namespace tlsmux::engine::mux {

// Both directions, with nothing owed, and the connection goes on. False where that cannot be known.
bool is_between_messages(const Lease& lease);

// A stream may have it now: nothing of an earlier one is still on its way, and the engine has nothing to say itself.
bool is_free(const Session& session);

// Why no other stream may have the session that a stream gives back; null: one may. `has_read_all` as in Leases::give_back().
const char* why_not_again(const Upstream& upstream, const Session& session, bool has_read_all);

// How many there should be: one for each stream that has or wants one, and those that are there; from the upstream's
// `sessions` to `sessions_max`.
std::uint32_t sessions_for_leases(const Upstream& upstream, std::uint32_t sessions_max);

// When a session will have lain in the pool for too long; nothing: never.
std::optional<std::uint64_t> idle_end_ns(const Upstream& upstream, const Session& session);

}  // namespace tlsmux::engine::mux
