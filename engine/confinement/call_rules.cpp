#include "engine/confinement/call_rules.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <span>

namespace tlsmux::engine::confinement {
namespace {

// What the C and C++ libraries need anywhere: memory, locks, time, the log's hand-over, the end of a thread, and the end
// of the process by abort().
constexpr auto kEveryThread = std::to_array<CallRule>({
    {.call = "brk"},
    {.call = "clock_gettime"},
    {.call = "clock_nanosleep"},
    {.call = "close"},
    {.call = "exit"},
    {.call = "exit_group"},
    {.call = "futex"},
    {.call = "getpid"},
    {.call = "getrandom"},
    {.call = "gettid"},
    {.call = "gettimeofday"},
    {.call = "madvise"},
    {.call = "mlock"},
    {.call = "mmap", .condition = Condition::not_executable},
    {.call = "mprotect", .condition = Condition::not_executable},
    {.call = "mremap"},
    {.call = "munmap"},
    {.call = "prctl", .condition = Condition::names},  // of memory, with glibc.mem.decorate_maps
    {.call = "read"},
    {.call = "restart_syscall"},
    {.call = "rt_sigaction"},
    {.call = "rt_sigprocmask"},
    {.call = "rt_sigreturn"},
    {.call = "sched_getaffinity"},
    {.call = "sched_yield"},
    {.call = "tgkill", .condition = Condition::this_process},
    {.call = "time"},  // on x86, where the kernel gives programs no clock in memory (vdso=0)
    {.call = "write"},
    {.call = "writev"},
    // glibc's malloc asks /proc/sys/vm/overcommit_memory when it gives memory back, and can do without an answer.
    {.call = "openat", .condition = Condition::reading_only_file, .verdict = Verdict::refuse},
});

// Lines come by memory, and go out where poll() says there is room.
constexpr auto kLog = std::to_array<CallRule>({{.call = "poll"}, {.call = "ppoll"}});

// Its ring exists by then; sockets are made here and connected, read and written by the ring.
constexpr auto kDataLoop = std::to_array<CallRule>({
    {.call = "bind"},
    {.call = "io_uring_enter"},
    {.call = "ioctl", .condition = Condition::unsent_bytes},
    {.call = "setsockopt"},
    {.call = "socket", .condition = Condition::tcp_socket},
});

// Where two do the same, one is what the C library calls on ARM64.

// Connections of programs under libtlsmux_ssl, passed on byte by byte to their hosts.
constexpr auto kWrapper = std::to_array<CallRule>({
    {.call = "accept4"},
    {.call = "connect"},
    {.call = "epoll_ctl"},
    {.call = "epoll_pwait"},
    {.call = "epoll_wait"},
    {.call = "eventfd2"},  // a descriptor to spare
    {.call = "fcntl", .condition = Condition::status_flags},
    {.call = "getpeername"},
    {.call = "getsockname"},
    {.call = "getsockopt"},
    {.call = "pipe2"},
    {.call = "poll"},
    {.call = "ppoll"},
    {.call = "recvfrom"},
    {.call = "sendto"},  // to the kernel's sock_diag
    {.call = "setsockopt"},
    {.call = "shutdown"},
    {.call = "socket", .condition = Condition::tcp_socket},
    {.call = "splice"},
});

// Clients' memory and descriptors, ports, what the broker hands over; and the wrapper's thread, which starts once there
// are rules for it and has then both lists. It starts no process: clone3, whose flags no filter sees, is not there.
constexpr auto kControl = std::to_array<CallRule>({
    {.call = "bind"},
    {.call = "clone", .condition = Condition::new_thread},
    {.call = "clone3", .verdict = Verdict::absent},
    {.call = "epoll_create1"},
    {.call = "fallocate"},
    {.call = "fcntl"},
    {.call = "fstat"},
    {.call = "fstatfs"},
    {.call = "ftruncate"},
    {.call = "ioctl", .condition = Condition::pidfd_information},
    {.call = "listen"},
    {.call = "memfd_create"},
    {.call = "newfstatat"},
    {.call = "openat", .condition = Condition::reading_only_file},  // Landlock says which
    {.call = "pidfd_open"},
    {.call = "pread64"},
    {.call = "recvmsg"},
    {.call = "rseq"},
    {.call = "seccomp"},
    {.call = "sendmsg"},
    {.call = "set_robust_list"},
    {.call = "signalfd4"},
    {.call = "socket", .condition = Condition::engine_socket},
    {.call = "socketpair", .condition = Condition::local_pair},
    // What a close may take, before Linux 6.16 (control/linger_limit.hpp).
    {.call = "timer_create"},
    {.call = "timer_delete"},
    {.call = "timer_settime"},
    {.call = "unlink"},  // Landlock leaves /dev/shm
    {.call = "unlinkat"},
});

// What neither the broker nor the engine has any use for: programs, other processes, mounts and namespaces, modules,
// raw access to ports and machine settings.
constexpr auto kOfNobody = std::to_array<std::string_view>({
    "acct",
    "adjtimex",
    "chroot",
    "clock_adjtime",
    "clock_settime",
    "delete_module",
    "execve",
    "execveat",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "lsm_set_self_attr",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "open_by_handle_at",
    "open_tree",
    "open_tree_attr",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "reboot",
    "setdomainname",
    "setfsgid",
    "setfsuid",
    "setgid",
    "sethostname",
    "setns",
    "setregid",
    "setreuid",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount2",
    "unshare",
    "userfaultfd",
    "vhangup",
});

// What modules that look names up may try, and go on without: the kernel's keys (Kerberos), and questions that service
// managers' libraries ask.
constexpr auto kOfModules = std::to_array<std::string_view>({
    "add_key",
    "kcmp",
    "keyctl",
    "personality",
    "request_key",
});

// What the broker loads the guard of ports with, and an engine becomes its user and makes its rings with: no thread's
// later. A ring's operations are seen by no filter.
constexpr auto kOfTheStart = std::to_array<std::string_view>({
    "bpf",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "setgroups",
    "setresgid",
    "setresuid",
    "setuid",
});

// These and those of every thread; of several for the same call the first holds.
CallRules only(std::span<const CallRule> own, std::span<const CallRule> more = {}) {
  CallRules all{.others = Verdict::trap, .rules = {}};
  for (const auto rules : {own, more, std::span<const CallRule>(kEveryThread)}) {
    for (const auto& rule : rules) {
      const auto has_one = std::ranges::find(all.rules, rule.call, &CallRule::call) != all.rules.end();
      if (!has_one) all.rules.push_back(rule);
    }
  }
  return all;
}

// Processes and threads may be started, but in no namespaces of their own: a process that has its own user namespace has
// all capabilities in it. What clone3 is asked for no filter sees, and the C library can do without.
CallRules all_but(std::initializer_list<std::span<const std::string_view>> lists) {
  CallRules all{.others = Verdict::allow,
                .rules = {{.call = "clone", .condition = Condition::new_namespace, .verdict = Verdict::trap},
                          {.call = "clone3", .verdict = Verdict::absent}}};
  for (const auto calls : lists) {
    for (const auto call : calls) all.rules.push_back({.call = call, .verdict = Verdict::trap});
  }
  for (const auto call : kOfModules) all.rules.push_back({.call = call, .verdict = Verdict::forbid});
  return all;
}

}  // namespace

CallRules call_rules(ThreadKind kind) {
  switch (kind) {
    case ThreadKind::data_loop: return only(kDataLoop);
    case ThreadKind::worker: return only({});
    // It runs whatever modules the machine looks names of hosts and of users up with.
    case ThreadKind::resolver: return all_but({kOfNobody, kOfTheStart});
    case ThreadKind::control: return only(kControl, kWrapper);
    case ThreadKind::wrapper: return only(kWrapper);
    case ThreadKind::log: return only(kLog);
  }
  return only({});
}

CallRules broker_call_rules() { return all_but({kOfNobody}); }

}  // namespace tlsmux::engine::confinement
