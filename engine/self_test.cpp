#include "engine/self_test.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <expected>
#include <thread>
#include <utility>

#include "engine/broker/engine_identity.hpp"
#include "engine/broker/resource_limits.hpp"
#include "engine/confinement/confinement.hpp"
#include "engine/io/io_loop.hpp"
#include "engine/memory_lock.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine {
namespace {

using Findings = std::vector<SelfTestFinding>;

SelfTestFinding finding(std::string what, bool is_in_force, std::string words) {
  return {.what = std::move(what), .is_in_force = is_in_force, .words = std::move(words)};
}

SelfTestFinding user(const config::EngineSettings& settings) {
  const std::string what = "a user without rights";
  const auto identity = broker::resolve_engine_identity(settings);
  if (!identity) return finding(what, false, identity.error());
  const auto words = "uid " + std::to_string(identity->uid);
  if (identity->uid != 0) return finding(what, true, words);
  return finding(what, false,
                 "the engine would be root: set /engine/user in the configuration to an account of its own");
}

void limits(const config::Config& config, Findings& findings) {
  const auto needed = broker::descriptors_needed(config);
  const auto files = broker::raise_limits(needed).open_files;
  findings.push_back(finding("open files", files >= needed,
                             files >= needed
                                 ? std::to_string(files) + ", of which " + std::to_string(needed) + " may be needed"
                                 : std::to_string(files) + ", but " + std::to_string(needed) +
                                       " may be needed: CAP_SYS_RESOURCE, LimitNOFILE= or ulimit -Hn"));
  const auto locked = lock_memory();
  findings.push_back(finding("all memory locked", locked.has_value(), locked ? "" : locked.error().message));
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
void confine(const config::EngineSettings& settings, Findings& findings) {
  const auto confined = confinement::confine_process(STDERR_FILENO, settings.confinement);
  findings.push_back(no_core_dumps());
  const std::string calls = "system calls of the engine (seccomp)";
  const std::string files = "files of the engine (Landlock)";
  if (!confined) {
    findings.push_back(finding(calls, false, confined.error().message));
    findings.push_back(finding(files, false, "an engine would not come as far"));
    return;
  }
  findings.push_back(finding(calls, confined->calls_filtered, confined->calls_filtered ? "" : confined->missing));
  const auto version = confined->file_rules_version;
  findings.push_back(
      finding(files, version > 0, version > 0 ? "version " + std::to_string(version) : confined->missing));
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

std::vector<SelfTestFinding> self_test(const config::Config& config) {
  const auto& settings = config.engine;
  // Limits and what else is to be seen before anything is given up.
  Findings findings{user(settings)};
  limits(config, findings);
  // What is given up, in its order.
  findings.push_back(no_new_privileges());
  findings.push_back(broker_calls(settings));
  confine(settings, findings);
  findings.push_back(ring());
  return findings;
}

}  // namespace tlsmux::engine
