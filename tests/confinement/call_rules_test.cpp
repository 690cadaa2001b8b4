// The tables themselves.

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "engine/confinement/call_filter.hpp"
#include "engine/confinement/call_rules.hpp"

namespace tlsmux::test {
namespace {

using namespace engine::confinement;

// Whether a call with some arguments would go through.
bool lets_through(const CallRules& rules, std::string_view call) {
  const auto found = std::ranges::find(rules.rules, call, &CallRule::call);
  if (found == rules.rules.end()) return rules.others == Verdict::allow;
  return found->verdict == Verdict::allow || (found->condition != Condition::none && rules.others == Verdict::allow);
}

}  // namespace

TEST_CASE("engine.no thread has the calls that undo a confinement") {
  for (const auto kind : kThreadKinds) {
    const auto rules = call_rules(kind);
    INFO(name(kind));
    for (const auto call : {"execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
                            "io_uring_setup", "io_uring_register", "setuid", "setresuid", "setgroups", "unshare",
                            "setns", "mount", "bpf", "open_by_handle_at", "init_module", "userfaultfd"}) {
      CHECK_FALSE_MESSAGE(lets_through(rules, call), call);
    }
    CHECK(lets_through(rules, "io_uring_enter") == (kind == ThreadKind::data_loop));
  }
}

TEST_CASE("engine.all threads but the resolver have lists of what they may, not of what they may not") {
  for (const auto kind : kThreadKinds) {
    if (kind == ThreadKind::resolver) continue;
    const auto rules = call_rules(kind);
    INFO(name(kind));
    CHECK(rules.others == Verdict::trap);
    for (const auto call : {"fork", "vfork", "clone3", "kill", "open", "openat2", "creat", "rename", "memfd_secret",
                            "name_to_handle_at", "pidfd_send_signal", "prlimit64", "mlockall", "arch_prctl"}) {
      CHECK_FALSE_MESSAGE(lets_through(rules, call), call);
    }
    const bool is_of_clients = kind == ThreadKind::control;
    CHECK(lets_through(rules, "clone") == is_of_clients);
    CHECK(lets_through(rules, "unlink") == is_of_clients);
    CHECK(lets_through(rules, "memfd_create") == is_of_clients);
    CHECK(lets_through(rules, "sendmsg") == is_of_clients);
    const bool connects = is_of_clients || kind == ThreadKind::wrapper;
    CHECK(lets_through(rules, "connect") == connects);
    CHECK(lets_through(rules, "splice") == connects);
    CHECK(lets_through(rules, "socket") == (connects || kind == ThreadKind::data_loop));
  }
}

// Started once there are rules for it, it has both lists.
TEST_CASE("engine.the control thread may make the calls of the wrapper's thread") {
  const auto control = call_rules(ThreadKind::control);
  for (const auto& rule : call_rules(ThreadKind::wrapper).rules) {
    CHECK_MESSAGE((rule.verdict != Verdict::allow || lets_through(control, rule.call)), rule.call);
  }
}

TEST_CASE("engine.the broker's rules leave what an engine calls on its way to its own") {
  const auto rules = broker_call_rules();
  for (const auto call :
       {"clone", "setgroups", "setresgid", "setresuid", "setuid", "prctl", "seccomp", "landlock_add_rule",
        "landlock_create_ruleset", "landlock_restrict_self", "io_uring_setup", "io_uring_register"}) {
    CHECK_MESSAGE(lets_through(rules, call), call);
  }
  for (const auto call : {"execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
                          "mount", "unshare", "setns", "clone3", "open_tree_attr", "keyctl", "init_module",
                          "finit_module", "kexec_load", "open_by_handle_at"}) {
    CHECK_FALSE_MESSAGE(lets_through(rules, call), call);
  }
}

TEST_CASE("engine.the call rules name real calls, each once") {
  std::set<std::string> known;
  for (int number = 0; number < 1024; ++number) known.insert(name_of_call(number));
  const auto check = [&](std::string_view whose, const CallRules& rules) {
    std::set<std::string_view> seen;
    for (const auto& rule : rules.rules) {
      INFO(whose, " ", rule.call);
      CHECK(known.contains(std::string(rule.call)));
      CHECK(seen.insert(rule.call).second);
    }
  };
  for (const auto kind : kThreadKinds) check(name(kind), call_rules(kind));
  check("broker", broker_call_rules());
}

}  // namespace tlsmux::test
