#include "engine/confinement/call_filter.hpp"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::confinement {
namespace {

using Context = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, decltype(&::seccomp_release)>;
using Comparisons = std::vector<scmp_arg_cmp>;

// Of an argument that the kernel takes as 32 bits.
constexpr std::uint64_t kLowHalf = 0xffffffff;
// PIDFD_GET_INFO of linux/pidfd.h, newer than Debian 12's headers, but for the size of its structure, which grows.
constexpr std::uint64_t kIoctlSize = std::uint64_t{_IOC_SIZEMASK} << _IOC_SIZESHIFT;
constexpr std::uint64_t kPidfdGetInfo = _IOWR(0xff, 11, char) & ~kIoctlSize;
constexpr std::uint64_t kThreadFlags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
constexpr std::initializer_list<std::uint64_t> kNamespaceFlags{
    CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET};
constexpr std::uint64_t kNotOfThreads =
    std::reduce(kNamespaceFlags.begin(), kNamespaceFlags.end(), std::uint64_t{CLONE_PTRACE}, std::bit_or());
// linux/prctl.h
constexpr std::uint64_t kPrSetVma = 0x53564d41;
// Newer than Debian 12's libseccomp; numbers that all processors share.
struct NewerCall {
  std::string_view name;
  int number;
};
constexpr auto kNewerCalls = std::to_array<NewerCall>({{"lsm_set_self_attr", 460}, {"open_tree_attr", 467}});
// Balanced by number instead of one comparison for each call.
constexpr std::uint32_t kBinaryTree = 2;

std::unexpected<shm::SystemError> failed(int code, std::string_view what) {
  return std::unexpected(shm::SystemError{.code = code, .message = std::string(what) + ": " + std::strerror(code)});
}

std::uint32_t action_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::allow: return SCMP_ACT_ALLOW;
    case Verdict::refuse: return SCMP_ACT_ERRNO(EACCES);
    case Verdict::forbid: return SCMP_ACT_ERRNO(EPERM);
    case Verdict::absent: return SCMP_ACT_ERRNO(ENOSYS);
    case Verdict::trap: return SCMP_ACT_TRAP;
  }
  return SCMP_ACT_TRAP;
}

scmp_arg_cmp argument(unsigned place, scmp_compare comparison, std::uint64_t first, std::uint64_t second = 0) {
  return {.arg = place, .op = comparison, .datum_a = first, .datum_b = second};
}

std::vector<Comparisons> one_of(unsigned place, std::initializer_list<std::uint64_t> values) {
  std::vector<Comparisons> any;
  for (const auto value : values) any.push_back({argument(place, SCMP_CMP_MASKED_EQ, kLowHalf, value)});
  return any;
}

std::vector<Comparisons> any_flag(unsigned place, std::initializer_list<std::uint64_t> flags) {
  std::vector<Comparisons> any;
  for (const auto flag : flags) any.push_back({argument(place, SCMP_CMP_MASKED_EQ, flag, flag)});
  return any;
}

std::vector<Comparisons> tcp_sockets() {
  constexpr std::uint64_t kKind = kLowHalf & ~std::uint64_t{SOCK_NONBLOCK | SOCK_CLOEXEC};
  std::vector<Comparisons> any;
  for (const auto family : {AF_INET, AF_INET6}) {
    for (const auto protocol : {0, int{IPPROTO_TCP}}) {
      any.push_back({argument(0, SCMP_CMP_MASKED_EQ, kLowHalf, static_cast<std::uint64_t>(family)),
                     argument(1, SCMP_CMP_MASKED_EQ, kKind, SOCK_STREAM),
                     argument(2, SCMP_CMP_MASKED_EQ, kLowHalf, static_cast<std::uint64_t>(protocol))});
    }
  }
  return any;
}

std::vector<Comparisons> engine_sockets() {
  auto any = tcp_sockets();
  any.push_back({argument(0, SCMP_CMP_MASKED_EQ, kLowHalf, AF_NETLINK),
                 argument(2, SCMP_CMP_MASKED_EQ, kLowHalf, NETLINK_SOCK_DIAG)});
  return any;
}

// Any one of these will do.
std::vector<Comparisons> comparisons_for(Condition condition) {
  switch (condition) {
    case Condition::none: return {{}};
    case Condition::not_executable: return {{argument(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)}};
    case Condition::this_process: return {{argument(0, SCMP_CMP_EQ, static_cast<std::uint64_t>(::getpid()))}};
    case Condition::unsent_bytes: return {{argument(1, SCMP_CMP_MASKED_EQ, kLowHalf, SIOCOUTQNSD)}};
    case Condition::pidfd_information:
      return {{argument(1, SCMP_CMP_MASKED_EQ, kLowHalf & ~kIoctlSize, kPidfdGetInfo)}};
    case Condition::tcp_socket: return tcp_sockets();
    case Condition::engine_socket: return engine_sockets();
    case Condition::local_pair: return one_of(0, {AF_UNIX});
    case Condition::status_flags: return one_of(1, {F_GETFL, F_SETFL});
    case Condition::names: return one_of(0, {PR_SET_NAME, kPrSetVma});
    case Condition::new_thread: return {{argument(0, SCMP_CMP_MASKED_EQ, kThreadFlags | kNotOfThreads, kThreadFlags)}};
    case Condition::new_namespace: return any_flag(0, kNamespaceFlags);
    case Condition::reading_only_file:
      return {{argument(0, SCMP_CMP_MASKED_EQ, kLowHalf, static_cast<std::uint32_t>(AT_FDCWD)),
               argument(2, SCMP_CMP_MASKED_EQ, kLowHalf, O_RDONLY | O_CLOEXEC)}};
  }
  return {{}};
}

std::expected<void, shm::SystemError> add(const Context& context, const CallRule& rule) {
  const int number = number_of_call(rule.call);
  if (number < 0) return {};  // another processor's
  for (const auto& all_of : comparisons_for(rule.condition)) {
    const int result = ::seccomp_rule_add_array(context.get(), action_of(rule.verdict), number,
                                                static_cast<unsigned>(all_of.size()), all_of.data());
    if (result < 0) return failed(-result, "making a rule for " + std::string(rule.call));
  }
  return {};
}

std::expected<std::vector<sock_filter>, shm::SystemError> compile(const Context& context) {
  const shm::UniqueFd file(::memfd_create("call filter", MFD_CLOEXEC));
  if (!file) return std::unexpected(shm::last_error("making memory for a call filter"));
  if (const int result = ::seccomp_export_bpf(context.get(), file.get()); result < 0) {
    return failed(-result, "compiling a call filter");
  }
  const auto bytes = ::lseek(file.get(), 0, SEEK_END);
  if (bytes <= 0) return failed(EIO, "compiling a call filter");
  std::vector<sock_filter> program(static_cast<std::size_t>(bytes) / sizeof(sock_filter));
  if (::pread(file.get(), program.data(), static_cast<std::size_t>(bytes), 0) != bytes) {
    return failed(EIO, "reading a call filter back");
  }
  return program;
}

}  // namespace

struct CallFilter::Program {
  std::vector<sock_filter> code;
};

CallFilter::CallFilter(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
CallFilter::CallFilter(CallFilter&&) noexcept = default;
CallFilter& CallFilter::operator=(CallFilter&&) noexcept = default;
CallFilter::~CallFilter() = default;

std::expected<CallFilter, shm::SystemError> CallFilter::make(const CallRules& rules) {
  const Context context(::seccomp_init(action_of(rules.others)), &::seccomp_release);
  if (!context) return failed(EINVAL, "making a call filter");
  ::seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  ::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, kBinaryTree);
  for (const auto& rule : rules.rules) {
    if (auto added = add(context, rule); !added) return std::unexpected(added.error());
  }
  auto code = compile(context);
  if (!code) return std::unexpected(code.error());
  return CallFilter(std::make_unique<const Program>(Program{.code = std::move(*code)}));
}

std::expected<void, shm::SystemError> CallFilter::enter() const {
  const sock_fprog program{.len = static_cast<unsigned short>(program_->code.size()),
                           .filter = const_cast<sock_filter*>(program_->code.data())};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0) return {};
  return std::unexpected(shm::last_error("having the kernel filter a thread's system calls"));
}

bool kernel_filters_calls() {
  const std::uint32_t action = SECCOMP_RET_TRAP;
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

int number_of_call(std::string_view name) {
  const auto* const newer = std::ranges::find(kNewerCalls, name, &NewerCall::name);
  return newer != kNewerCalls.end() ? newer->number : ::seccomp_syscall_resolve_name(std::string(name).c_str());
}

std::string name_of_call(int number) {
  const auto* const newer = std::ranges::find(kNewerCalls, number, &NewerCall::number);
  if (newer != kNewerCalls.end()) return std::string(newer->name);
  const std::unique_ptr<char, decltype(&::free)> name(::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number),
                                                      &::free);
  return name ? std::string(name.get()) : std::string();
}

}  // namespace tlsmux::engine::confinement
