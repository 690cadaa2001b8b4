#include "ports/diagnosis/live_groups.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "ports/protocol.hpp"
#include "shm/control_protocol.hpp"
#include "shm/group_part.hpp"
#include "shm/row.hpp"
#include "shm/segment.hpp"
#include "shm/system/owner.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::ports {
namespace {

constexpr std::string_view kFolder = "/dev/shm/";
constexpr std::string_view kLockEnding = ".lock";
constexpr std::uint64_t kObjectBytesMax = 256ULL << 20;

struct alignas(shm::kCacheLineBytes) Line {
  std::byte bytes[shm::kCacheLineBytes];
};

struct Opened {
  shm::UniqueFd fd;
  struct stat status{};
};

std::optional<Opened> open_regular(const std::string& path) {
  Opened opened{.fd = shm::UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK))};
  if (!opened.fd || ::fstat(opened.fd.get(), &opened.status) != 0 || !S_ISREG(opened.status.st_mode)) {
    return std::nullopt;
  }
  return opened;
}

bool is_locked(int fd) {
  struct flock wanted{};
  wanted.l_type = F_WRLCK;
  wanted.l_whence = SEEK_SET;
  return ::fcntl(fd, F_OFD_GETLK, &wanted) == 0 && wanted.l_type != F_UNLCK;
}

// A copy, since its owner could make the file shorter while it is mapped here.
std::vector<Line> read_object(const std::string& path) {
  const auto object = open_regular(path);
  if (!object || object->status.st_size <= 0) return {};
  const auto bytes = static_cast<std::uint64_t>(object->status.st_size);
  if (bytes > kObjectBytesMax || bytes % sizeof(Line) != 0) return {};
  std::vector<Line> copy(bytes / sizeof(Line));
  for (std::uint64_t at = 0; at < bytes;) {
    auto* const to = reinterpret_cast<std::byte*>(copy.data()) + at;
    const auto got = ::pread(object->fd.get(), to, bytes - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return {};
    at += static_cast<std::uint64_t>(got);
  }
  return copy;
}

std::array<PortSet, 2> ports_of(const shm::GroupView& view) {
  std::array<PortSet, 2> ports;
  for (std::uint32_t i = 0; i < view.port_rules().size(); ++i) {
    shm::PortConfigurationRow row{};
    if (!shm::read_row(view.port_rules()[i], row)) continue;
    if (row.kind != shm::PortRuleKind::static_port && row.kind != shm::PortRuleKind::dynamic_range) continue;
    if (row.from == 0 || row.to < row.from) continue;
    for (const auto protocol : kProtocols) {
      if ((row.protocols & bit_of(protocol)) != 0) ports[index_of(protocol)].add({.from = row.from, .to = row.to});
    }
  }
  return ports;
}

// As engine/broker/group_lock writes it. 0: not told.
struct Holder {
  std::uint32_t pid = 0;
  std::uint64_t network = 0;  // inode of the namespace
};

Holder holder_in(int lock) {
  std::array<char, 40> text{};
  const auto size = ::pread(lock, text.data(), text.size(), 0);
  Holder holder;
  if (size <= 0) return holder;
  const auto* const end = text.data() + size;
  const auto after_pid = std::from_chars(text.data(), end, holder.pid);
  if (after_pid.ec == std::errc() && after_pid.ptr != end) std::from_chars(after_pid.ptr + 1, end, holder.network);
  return holder;
}

// The thread's, which may differ from the process's. Not by the holder's process: while one engine has died and the next
// has not taken its place there is none to ask.
bool may_be_this_network(const Holder& holder) {
  struct stat own{};
  if (holder.network == 0 || ::stat("/proc/thread-self/ns/net", &own) != 0) return true;
  return own.st_ino == holder.network;
}

std::string object_path(const std::string& group) { return std::string(kFolder) + shm::group_object_name(group); }

// Nothing: it is not locked.
std::optional<Opened> open_lock(const std::string& group) {
  auto lock = open_regular(object_path(group) + std::string(kLockEnding));
  if (!lock || !is_locked(lock->fd.get())) return std::nullopt;
  return lock;
}

std::optional<LiveGroup> look_at(const std::string& group) {
  const auto lock = open_lock(group);
  if (!lock) return std::nullopt;
  const auto copy = read_object(object_path(group));
  const auto view = shm::GroupView::open(std::as_bytes(std::span(copy)));
  if (!view) return std::nullopt;
  return LiveGroup{.name = std::string(shm::text_of(view->header().group)),
                   .engine_pid = view->header().engine_pid,
                   .boot_id = view->header().boot_id,
                   .ports = ports_of(*view),
                   .is_in_this_network = may_be_this_network(holder_in(lock->fd.get())),
                   .is_trusted = shm::is_root_or_own(lock->status.st_uid)};
}

}  // namespace

std::optional<GroupServer> server_of(const std::string& group) {
  const auto lock = open_lock(group);
  if (!lock) return std::nullopt;
  return GroupServer{.pid = holder_in(lock->fd.get()).pid, .uid = lock->status.st_uid};
}

std::vector<std::string> find_served_groups() {
  const auto beginning = shm::group_object_name("");
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder, ignored)) {
    auto name = entry.path().filename().string();
    if (!name.starts_with(beginning) || !name.ends_with(kLockEnding)) continue;
    name = name.substr(beginning.size(), name.size() - beginning.size() - kLockEnding.size());
    if (open_lock(name)) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

std::vector<LiveGroup> find_live_groups() {
  std::vector<LiveGroup> groups;
  for (const auto& name : find_served_groups()) {
    if (auto group = look_at(name)) groups.push_back(std::move(*group));
  }
  return groups;
}

}  // namespace tlsmux::ports
