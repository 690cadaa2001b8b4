// What an engine has left when it has become its user.

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "engine/broker/engine_identity.hpp"
#include "engine/capabilities.hpp"
#include "tests/broker/process.hpp"
#include "tests/confinement/ambient_capabilities.hpp"
#include "tests/confinement/forbidden_call.hpp"

namespace tlsmux::test {
namespace {

constexpr int kNotPrepared = 99;

// Of this process: "CapEff" and so on.
std::string capability_lines() {
  std::ifstream file("/proc/self/status");
  std::string lines;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("Cap") && !line.starts_with("CapBnd")) lines += line + "\n";
  }
  return lines;
}

std::string expected_lines(const std::string& inheritable, const std::string& permitted, const std::string& effective,
                           const std::string& ambient) {
  return "CapInh:\t" + inheritable + "\nCapPrm:\t" + permitted + "\nCapEff:\t" + effective + "\nCapAmb:\t" + ambient +
         "\n";
}

constexpr const char* kNone = "0000000000000000";
constexpr const char* kLocksMemory = "0000000000004000";

}  // namespace

TEST_CASE("engine.an engine whose user tlsmuxd is already keeps no capability but that of locking memory") {
  if (skip_without_root("it hands out capabilities")) return;
  for (const bool has_memory : {true, false}) {
    INFO("with CAP_IPC_LOCK: ", has_memory);
    const std::string left = has_memory ? kLocksMemory : kNone;
    ChildProcess child([&] {
      const bool prepared =
          has_memory ? become_user_with(kNobody, {CAP_KILL, CAP_NET_RAW, CAP_IPC_LOCK, CAP_SYS_PTRACE, CAP_BPF})
                     : become_user_with(kNobody, {CAP_KILL, CAP_NET_RAW});
      if (!prepared || engine::capabilities_in_effect() == 0) return kNotPrepared;
      if (!engine::broker::become({.uid = kNobody, .gid = kNobody, .name = {}, .switch_user = false})) return 1;
      return capability_lines() == expected_lines(kNone, left, left, kNone) ? 0 : 2;
    });
    CHECK(child.wait() == 0);
  }
}

TEST_CASE("engine.an engine that changes to its user has no capabilities, whatever the process was told to keep") {
  if (skip_without_root("it switches users")) return;
  ChildProcess child([] {
    constexpr unsigned long kNoSetuidFixup = 1UL << 2;  // SECBIT_NO_SETUID_FIXUP
    if (::prctl(PR_SET_SECUREBITS, kNoSetuidFixup, 0, 0, 0) != 0) return kNotPrepared;
    if (!engine::broker::become({.uid = kNobody, .gid = kNobody, .name = "nobody", .switch_user = true})) return 1;
    return (engine::capabilities_in_effect() & ~engine::capability_bit(CAP_IPC_LOCK)) == 0 && ::geteuid() == kNobody
               ? 0
               : 2;
  });
  CHECK(child.wait() == 0);
}

TEST_CASE("engine.an engine without capabilities becomes its user where a container forbids to change them") {
  const bool is_root = ::getuid() == 0;
  for (const bool has_some : {false, true}) {
    if (!is_root && has_some) continue;
    ChildProcess child([&] {
      if (has_some ? !become_user_with(kNobody, {CAP_NET_RAW}) : is_root && !become_user(kNobody)) return kNotPrepared;
      if (!forbid_call(SYS_capset, EPERM)) return kNotPrepared;
      return engine::broker::become({.uid = ::getuid(), .gid = ::getgid(), .name = {}, .switch_user = false}) ? 0 : 1;
    });
    CHECK(child.wait() == (has_some ? 1 : 0));
  }
}

TEST_CASE("engine.an engine that is to stay root keeps root's capabilities") {
  if (skip_without_root("it is about root")) return;
  ChildProcess child([] {
    const auto before = capability_lines();
    if (!engine::broker::become({.uid = 0, .gid = 0, .name = {}, .switch_user = false})) return 1;
    return engine::capabilities_in_effect() != 0 && capability_lines() == before ? 0 : 2;
  });
  CHECK(child.wait() == 0);
}

}  // namespace tlsmux::test
