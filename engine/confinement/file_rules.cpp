#include "engine/confinement/file_rules.hpp"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <string>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::confinement {
namespace {

// Newer than Debian 12's headers.
constexpr std::uint64_t kTruncate = 1ULL << 14;       // version 3
constexpr std::uint64_t kDeviceControl = 1ULL << 15;  // version 5
constexpr std::uint64_t kScopeAbstractSocket = 1ULL << 0;
constexpr std::uint64_t kScopeSignal = 1ULL << 1;

constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kFirstVersion = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

// The kernel's struct landlock_ruleset_attr as of version 6 (include/uapi/linux/landlock.h). An older kernel takes it
// as long as what it does not know is zero.
struct RulesetAttributes {
  std::uint64_t handled_access_fs;
  std::uint64_t handled_access_net;
  std::uint64_t scoped;
};

// Of /run no more than is named: secrets of containers and tokens of services are there, often for all users to read.
constexpr auto kReadable = std::to_array<std::string_view>({
    "/etc",
    "/usr/etc",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/usr/share/zoneinfo",
    "/proc",
    // Where resolv.conf may lead to.
    "/run/NetworkManager",
    "/run/connman",
    "/run/resolvconf",
    "/run/systemd/resolve",
    "/mnt/wsl/resolv.conf",
    // Users and groups that are not in /etc.
    "/run/host/userdb",
    "/run/nscd",
    "/run/systemd/userdb",
    "/run/userdb",
    "/var/db",
    "/var/lib/extrausers",
    "/var/lib/misc",
    "/var/lib/sss",
    "/dev/null",
    "/dev/urandom",
});

// An engine whose broker is dead removes the tables of its groups.
constexpr std::string_view kGroupObjects = "/dev/shm";

std::uint64_t handled_by(int version) {
  std::uint64_t handled = kFirstVersion;
  if (version >= 2) handled |= LANDLOCK_ACCESS_FS_REFER;
  if (version >= 3) handled |= kTruncate;
  if (version >= 5) handled |= kDeviceControl;
  return handled;
}

std::expected<void, shm::SystemError> allow(int ruleset, std::string_view path, std::uint64_t in_folder) {
  const shm::UniqueFd opened(::open(std::string(path).c_str(), O_PATH | O_CLOEXEC));
  if (!opened) return {};  // this machine has none
  struct stat about{};
  if (::fstat(opened.get(), &about) != 0) return std::unexpected(shm::last_error("looking at " + std::string(path)));
  const landlock_path_beneath_attr beneath{
      .allowed_access = S_ISDIR(about.st_mode) ? in_folder : std::uint64_t{LANDLOCK_ACCESS_FS_READ_FILE},
      .parent_fd = opened.get()};
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0) return {};
  return std::unexpected(shm::last_error("allowing the engine its use of " + std::string(path)));
}

}  // namespace

std::span<const std::string_view> readable_paths() { return kReadable; }

int kernel_landlock_version() {
  const auto version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version < 0 ? 0 : static_cast<int>(version);
}

std::expected<int, shm::SystemError> restrict_files() {
  const int version = kernel_landlock_version();
  if (version == 0) return std::unexpected(shm::last_error("asking the kernel for Landlock"));
  const RulesetAttributes attributes{.handled_access_fs = handled_by(version),
                                     .handled_access_net = 0,
                                     .scoped = version >= 6 ? kScopeAbstractSocket | kScopeSignal : 0};
  const shm::UniqueFd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  if (!ruleset) return std::unexpected(shm::last_error("making rules for files"));
  for (const auto path : kReadable) {
    if (auto allowed = allow(ruleset.get(), path, kRead); !allowed) return std::unexpected(allowed.error());
  }
  if (auto allowed = allow(ruleset.get(), kGroupObjects, LANDLOCK_ACCESS_FS_REMOVE_FILE); !allowed) {
    return std::unexpected(allowed.error());
  }
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return std::unexpected(shm::last_error("restricting the engine's files"));
  }
  return version;
}

}  // namespace tlsmux::engine::confinement
