#include "engine/broker/engine_identity.hpp"

#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>

#include "config/identity.hpp"

namespace tlsmux::engine::broker {
namespace {

std::expected<void, shm::SystemError> switch_to(const EngineIdentity& identity) {
  const auto failed = [](const char* what) { return std::unexpected(shm::last_error(what)); };
  if (::initgroups(identity.name.c_str(), identity.gid) != 0) return failed("setting the engine's Unix groups");
  if (::setresgid(identity.gid, identity.gid, identity.gid) != 0) return failed("setting the engine's group id");
  if (::setresuid(identity.uid, identity.uid, identity.uid) != 0) return failed("setting the engine's user id");

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
  if (identity.switch_user) {
    if (auto switched = switch_to(identity); !switched) return switched;
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return std::unexpected(shm::last_error("forbidding the engine new privileges"));
  }
  return {};
}

}  // namespace tlsmux::engine::broker
