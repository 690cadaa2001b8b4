#include "ports/guard/guard_host.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

#include "ports/enforcement/network_cookie.hpp"

namespace tlsmux::ports {
namespace {

constexpr std::size_t kInstanceBytesMax = 64;
constexpr const char* kKernelTypes = "/sys/kernel/btf/vmlinux";

bool is_of_type(const std::string& folder, unsigned long magic) {
  struct statfs filesystem{};
  return ::statfs(folder.c_str(), &filesystem) == 0 && static_cast<unsigned long>(filesystem.f_type) == magic;
}

// The characters of a name in a bpffs, which refuses dots, less those that pins are told apart by.
bool is_name(std::string_view instance) {
  return !instance.empty() && instance.size() <= kInstanceBytesMax && std::ranges::all_of(instance, [](char character) {
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9') || character == '-' || character == '_';
  });
}

bool has_capability(const std::array<__user_cap_data_struct, 2>& sets, unsigned capability) {
  return (sets.at(capability / 32).effective >> (capability % 32) & 1U) != 0;
}

std::expected<void, std::string> check_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return std::unexpected("the capabilities cannot be read");
  if (has_capability(sets, CAP_SYS_ADMIN)) return {};
  std::string missing;
  for (const auto& [capability, name] : {std::pair{CAP_BPF, "CAP_BPF"}, std::pair{CAP_PERFMON, "CAP_PERFMON"},
                                         std::pair{CAP_NET_ADMIN, "CAP_NET_ADMIN"}}) {
    if (!has_capability(sets, static_cast<unsigned>(capability)))
      missing += (missing.empty() ? "" : ", ") + std::string(name);
  }
  if (missing.empty()) return {};
  return std::unexpected("the guard needs the capabilities CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, or root; missing: " +
                         missing);
}

// Octal escapes, as for blanks, of a path in mountinfo.
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto digits = text.substr(at + 1, 3);
    const bool is_escape = text[at] == '\\' && digits.size() == 3 &&
                           std::ranges::all_of(digits, [](char digit) { return digit >= '0' && digit <= '7'; });
    if (!is_escape) {
      plain += text[at];
      continue;
    }
    plain += static_cast<char>((digits[0] - '0') * 64 + (digits[1] - '0') * 8 + (digits[2] - '0'));
    at += 3;
  }
  return plain;
}

// proc(5), /proc/PID/mountinfo: "36 35 0:27 ROOT MOUNT_POINT OPTIONS [FIELDS] - TYPE SOURCE OPTIONS".
std::expected<std::string, std::string> find_cgroup_root() {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string number, parent, device, root, point, word, type;
    fields >> number >> parent >> device >> root >> point;
    while (fields >> word && word != "-") continue;
    fields >> type;
    if (type == "cgroup2" && root == "/") return unescape(point);
  }
  return std::unexpected(
      "the root of cgroup version 2 is not mounted: mount -t cgroup2 none DIRECTORY, or name a cgroup in "
      "engine.port_guard.cgroup");
}

std::expected<void, std::string> check_files(const GuardPlace& place) {
  if (!is_bpffs(place.bpf_directory)) {
    return std::unexpected("no bpffs is mounted at " + place.bpf_directory + ": mount -t bpf bpf " +
                           place.bpf_directory + " (or name another one in engine.port_guard.bpf_directory)");
  }
  if (::access(kKernelTypes, R_OK) != 0) {
    return std::unexpected("this kernel (" + kernel_release() + ") does not tell its types in " + kKernelTypes +
                           ": one with CONFIG_DEBUG_INFO_BTF is needed, as in Debian 12");
  }
  return {};
}

}  // namespace

bool is_bpffs(const std::string& folder) { return is_of_type(folder, BPF_FS_MAGIC); }

std::string kernel_release() {
  utsname names{};
  return ::uname(&names) == 0 ? names.release : "unknown";
}

std::expected<GuardHost, std::string> examine_host(const GuardPlace& place) {
  if (!is_name(place.instance)) {
    return std::unexpected("the guard's instance \"" + place.instance + "\" is not 1 to " +
                           std::to_string(kInstanceBytesMax) + " letters, digits, \"-\" and \"_\"");
  }
  if (const auto allowed = check_capabilities(); !allowed) return std::unexpected(allowed.error());
  if (const auto there = check_files(place); !there) return std::unexpected(there.error());

  GuardHost host;
  host.cgroup = place.cgroup;
  if (host.cgroup.empty()) {
    auto root = find_cgroup_root();
    if (!root) return std::unexpected(root.error());
    host.cgroup = *std::move(root);
  }
  host.cgroup_folder.reset(::open(host.cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat status{};
  if (!host.cgroup_folder || ::fstat(host.cgroup_folder.get(), &status) != 0) {
    return std::unexpected("the cgroup " + host.cgroup + ": " + std::strerror(errno));
  }
  if (!is_of_type(host.cgroup, CGROUP2_SUPER_MAGIC)) {
    return std::unexpected(host.cgroup + " is not a cgroup of version 2 (engine.port_guard.cgroup)");
  }
  host.cgroup_id = status.st_ino;

  host.network_cookie = network_cookie();
  if (host.network_cookie == 0) {
    return std::unexpected("this kernel (" + kernel_release() +
                           ") does not tell network namespaces apart by a cookie: " + std::strerror(errno) +
                           "; Linux 6.1 or later is needed");
  }
  return host;
}

}  // namespace tlsmux::ports
