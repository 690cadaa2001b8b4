#include "engine/broker/engine_identity.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "config/identity.hpp"
#include "engine/capabilities.hpp"

namespace tlsmux::engine::broker {
namespace {

// Who is started as another user than root may have some all the same (AmbientCapabilities= of a unit), and bits of a process
// may keep them across a change of user. That of locking memory is in force as long as memory is mapped.
std::expected<void, shm::SystemError> drop_capabilities(const EngineIdentity& identity) {
  if (identity.uid == 0) return {};
  return keep_capabilities(capability_bit(CAP_IPC_LOCK));
}

std::expected<void, shm::SystemError> switch_to(const EngineIdentity& identity) {
  const auto failed = [](const char* what) { return std::unexpected(shm::last_error(what)); };
  if (::initgroups(identity.name.c_str(), identity.gid) != 0) return failed("setting the engine's Unix groups");
  if (::setresgid(identity.gid, identity.gid, identity.gid) != 0) return failed("setting the engine's group id");
  if (::setresuid(identity.uid, identity.uid, identity.uid) != 0) return failed("setting the engine's user id");
  if (auto dropped = drop_capabilities(identity); !dropped) return dropped;

  std::array<uid_t, 3> uids{};
  std::array<gid_t, 3> gids{};
  const bool asked = ::getresuid(&uids[0], &uids[1], &uids[2]) == 0 && ::getresgid(&gids[0], &gids[1], &gids[2]) == 0;
  const bool changed = asked && uids == std::array{identity.uid, identity.uid, identity.uid} &&
                       gids == std::array{identity.gid, identity.gid, identity.gid};
  if (!changed || (identity.uid != 0 && ::setuid(0) == 0)) {
    return std::unexpected(shm::SystemError{.code = EPERM, .message = "the engine could not give up its privileges"});
  }
  // The kernel has done this already where the user changed; said here so that it does not depend on that.
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return failed("switching off core dumps of the engine");
  return {};
}

}  // namespace

std::expected<EngineIdentity, std::string> resolve_engine_identity(const config::EngineSettings& settings) {
  if (settings.user.empty()) return EngineIdentity{.uid = ::geteuid(), .gid = ::getegid(), .name = {}};
  const auto account = config::resolve_account(settings.user);
  if (!account) return std::unexpected("/engine/user: " + account.error());
  const bool other = account->uid != ::geteuid();
  if (other && ::geteuid() != 0) {
    return std::unexpected("/engine/user is " + settings.user + ", but tlsmuxd runs as uid " +
                           std::to_string(::geteuid()) + " and cannot become another: start it as root, or as " +
                           settings.user + ", or leave the setting out");
  }
  return EngineIdentity{.uid = account->uid, .gid = account->gid, .name = account->name, .switch_user = other};
}

std::expected<void, shm::SystemError> become(const EngineIdentity& identity) {
  if (auto done = identity.switch_user ? switch_to(identity) : drop_capabilities(identity); !done) return done;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return std::unexpected(shm::last_error("forbidding the engine new privileges"));
  }
  return {};
}

}  // namespace tlsmux::engine::broker
