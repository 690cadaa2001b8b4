#pragma once

// Which system calls each kind of thread may make. Pure tables: what enforces them is call_filter.hpp.

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/confinement/thread_kind.hpp"

namespace tlsmux::engine::confinement {

// What the arguments of a call have to be for its rule to hold.
enum class Condition : std::uint8_t {
  none,
  not_executable,     // mmap, mprotect: no PROT_EXEC
  this_process,       // tgkill: to a thread of this process
  unsent_bytes,       // ioctl: SIOCOUTQNSD
  pidfd_information,  // ioctl: PIDFD_GET_INFO, of any size
  tcp_socket,         // socket: AF_INET or AF_INET6, SOCK_STREAM, the usual protocol
  engine_socket,      // socket: the same, or AF_NETLINK for NETLINK_SOCK_DIAG
  local_pair,         // socketpair: AF_UNIX
  reading_only_file,  // openat: by a path alone, O_RDONLY | O_CLOEXEC
  status_flags,       // fcntl: F_GETFL or F_SETFL
  names,              // prctl: PR_SET_NAME, and PR_SET_VMA, by which glibc says what memory is for
  new_thread,         // clone: CLONE_VM, CLONE_SIGHAND and CLONE_THREAD, in this one's namespaces
  new_namespace,      // clone: any of the flags for those
};

enum class Verdict : std::uint8_t {
  allow,
  refuse,  // EACCES, as if the file were not for us
  forbid,  // EPERM, as to a user without rights
  absent,  // ENOSYS, as if the kernel were older
  trap,    // SIGSYS: a breach
};

struct CallRule {
  std::string_view call;
  Condition condition = Condition::none;
  Verdict verdict = Verdict::allow;
};

struct CallRules {
  Verdict others = Verdict::trap;  // what becomes of calls without a rule that holds
  std::vector<CallRule> rules;
};

CallRules call_rules(ThreadKind kind);

// Of the broker, and with it of all engines that it forks: what neither has a use for, at the start or later.
CallRules broker_call_rules();

}  // namespace tlsmux::engine::confinement
