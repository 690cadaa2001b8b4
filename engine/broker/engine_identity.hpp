#pragma once

// The user that the engine runs as.

#include <sys/types.h>

#include <expected>
#include <string>

#include "config/config.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine::broker {

struct EngineIdentity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;          // empty: the database knows none
  bool switch_user = false;  // false: it is the present one
};

// By the account database; may block. An error if it is another user than the present one and tlsmuxd is not root.
std::expected<EngineIdentity, std::string> resolve_engine_identity(const config::EngineSettings& settings);

// For good: all user and group ids, the supplementary groups; no capabilities but that of locking memory, unless it is
// root; no new privileges, no core dumps, no tracing by that user's other processes. Verifies what it did. For a child
// process with one thread.
std::expected<void, shm::SystemError> become(const EngineIdentity& identity);

}  // namespace tlsmux::engine::broker
