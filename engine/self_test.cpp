#include "engine/self_test.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <expected>
#include <thread>
#include <utility>

#include "engine/broker/engine_identity.hpp"
#include "engine/broker/resource_limits.hpp"
#include "engine/capabilities.hpp"
#include "engine/confinement/confinement.hpp"
#include "engine/io/io_loop.hpp"
#include "engine/memory_lock.hpp"
#include "engine/shard/status_board.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine {
namespace {

using Report = std::function<void(const SelfTestFinding&)>;
using Identity = std::expected<broker::EngineIdentity, std::string>;

SelfTestFinding finding(std::string what, bool is_in_force, std::string words) {
  return {.what = std::move(what), .is_in_force = is_in_force, .words = std::move(words)};
}

SelfTestFinding open_files(const config::Config& config) {
  const auto needed = broker::descriptors_needed(config);
  const auto files = broker::raise_limits(needed);
  return finding("open files", files >= needed,
                 files >= needed ? std::to_string(files) + ", of which " + std::to_string(needed) + " may be needed"
                                 : std::to_string(files) + ", but " + std::to_string(needed) +
                                       " may be needed: " + broker::advice_for_open_files(needed));
}

// The engine's tables are there, and allocated when they are made.
SelfTestFinding shared_memory(const config::Config& config) {
  const std::string what = "room for tables in /dev/shm";
  std::uint64_t needed = 0;
  for (std::size_t i = 0; i < config.groups.size(); ++i) needed += group_tables(config, i).total_bytes();
  struct statvfs about{};
  if (::statvfs("/dev/shm", &about) != 0) return finding(what, false, shm::last_error("looking at /dev/shm").message);
  if ((about.f_flag & ST_RDONLY) != 0) return finding(what, false, "it is mounted read-only");
  if (about.f_blocks == 0) return finding(what, true, "no limit");
  const auto free = std::uint64_t{about.f_bavail} * about.f_frsize;
  const auto words = std::to_string(free) + " bytes are free, " + std::to_string(needed) + " are needed";
  return finding(what, free >= needed,
                 free >= needed ? words : words + ": --shm-size of the container, or size= of the mount");
}

// What a broker needs that is root where its engine is not.
SelfTestFinding broker_rights(const Identity& identity) {
  const std::string what = "becoming the engine's user, and stopping it";
  if (!identity) return finding(what, false, identity.error());
  if (!identity->switch_user) return finding(what, true, "it is the present user");
  const auto in_effect = capabilities_in_effect();
  std::string missing;
  for (const auto& [capability, name] :
       {std::pair{CAP_SETUID, "CAP_SETUID"}, {CAP_SETGID, "CAP_SETGID"}, {CAP_KILL, "CAP_KILL"}}) {
    if ((in_effect & capability_bit(capability)) == 0) missing.append(missing.empty() ? "" : ", ").append(name);
  }
  return finding(what, missing.empty(),
                 missing.empty() ? "" : "needs " + missing + ": CapabilityBoundingSet= of the unit, or --cap-add");
}

// This process is that user afterwards, if it can be.
SelfTestFinding user(const Identity& identity) {
  const std::string what = "a user without rights";
  if (!identity) return finding(what, false, identity.error());
  if (const auto became = broker::become(*identity); !became) return finding(what, false, became.error().message);
  const auto in_effect = capabilities_in_effect();
  const bool locks = in_effect == capability_bit(CAP_IPC_LOCK);
  const auto words = "uid " + std::to_string(::geteuid()) + (locks ? ", with CAP_IPC_LOCK" : "");
  if (::geteuid() != 0) return finding(what, in_effect == 0 || locks, words);
  return finding(what, false,
                 "the engine would be root: set /engine/user in the configuration to an account of its own");
}

SelfTestFinding locked_memory() {
  const auto locked = lock_memory();
  return finding("all memory locked", locked.has_value(), locked ? "" : locked.error().message);
}

SelfTestFinding no_core_dumps() {
  rlimit limit{};
  const bool is_limited = ::getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0;
  return finding("no core dumps", is_limited && ::prctl(PR_GET_DUMPABLE) == 0, "");
}

SelfTestFinding no_new_privileges() {
  const bool done = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
  return finding("no new privileges", done, done ? "" : std::strerror(errno));
}

SelfTestFinding broker_calls(const config::EngineSettings& settings) {
  const std::string what = "system calls of the broker (seccomp)";
  if (settings.confinement == config::Confinement::off) return finding(what, false, "/engine/confinement is off");
  if (confinement::is_instrumented()) return finding(what, false, "a build with a sanitizer, or that counts coverage");
  const auto confined = confinement::confine_broker(STDERR_FILENO);
  return finding(what, confined.has_value(), confined ? "" : confined.error().message);
}

// Of the engine: from here on this process is one.
void confine(const config::EngineSettings& settings, const Report& report) {
  const auto confined = confinement::confine_process(STDERR_FILENO, settings.confinement);
  report(no_core_dumps());
  const std::string calls = "system calls of the engine (seccomp)";
  const std::string files = "files of the engine (Landlock)";
  if (!confined) {
    report(finding(calls, false, confined.error().message));
    report(finding(files, false, "an engine would not come as far"));
    return;
  }
  report(finding(calls, confined->calls_filtered, confined->calls_filtered ? "" : confined->missing));
  const auto version = confined->landlock_version;
  report(finding(files, version > 0, version > 0 ? "version " + std::to_string(version) : confined->missing));
}

// A data loop's thread goes the same way: its ring, then its calls.
SelfTestFinding ring() {
  std::expected<void, shm::SystemError> made;
  std::jthread([&] {
    const auto io = io::IoLoop::create({});
    if (!io) made = std::unexpected(io.error());
    confinement::enter_thread(confinement::ThreadKind::data_loop);
  }).join();
  return finding("io_uring, restricted", made.has_value(), made ? "" : made.error().message);
}

}  // namespace

void self_test(const config::Config& config, const Report& report) {
  const auto& settings = config.engine;
  const auto identity = broker::resolve_engine_identity(settings);
  // Of the broker, while it has all that it was started with.
  report(open_files(config));
  report(shared_memory(config));
  report(broker_rights(identity));
  // What is given up, in its order.
  report(no_new_privileges());
  report(broker_calls(settings));
  report(user(identity));
  report(locked_memory());
  confine(settings, report);
  report(ring());
}

}  // namespace tlsmux::engine
