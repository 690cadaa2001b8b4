#include "engine/control/peer.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "shm/system/pidfd.hpp"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77  // Linux 6.5
#endif
#ifndef PIDFD_GET_INFO
#define PIDFD_GET_INFO _IOWR(0xff, 11, PidfdInfo)  // Linux 6.13
#define PIDFD_INFO_CREDS (1 << 1)
#endif

namespace tlsmux::engine::control {
namespace {

constexpr std::size_t kProcFileBytesMax = 16384;

// The kernel's struct pidfd_info, as it was first (include/uapi/linux/pidfd.h).
struct PidfdInfo {
  std::uint64_t mask;
  std::uint64_t cgroup_id;
  std::uint32_t pid, thread_group_id, parent_pid;
  std::uint32_t real_uid, real_gid, effective_uid, effective_gid, saved_uid, saved_gid, file_uid, file_gid;
  std::int32_t exit_code;
};
static_assert(sizeof(PidfdInfo) == 64);

shm::SystemError dead() { return {.code = ESRCH, .message = "the process that connected is dead"}; }

std::expected<ucred, shm::SystemError> credentials_of(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return std::unexpected(shm::last_error("asking who has connected"));
  }
  return credentials;
}

std::expected<std::vector<gid_t>, shm::SystemError> supplementary_groups_of(int socket) {
  std::vector<gid_t> gids(64);
  while (true) {
    auto size = static_cast<socklen_t>(gids.size() * sizeof(gid_t));
    const bool asked = ::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, gids.data(), &size) == 0;
    if (!asked && errno != ERANGE) return std::unexpected(shm::last_error("asking for the Unix groups of a client"));
    gids.resize(size / sizeof(gid_t));
    if (asked) return gids;
  }
}

// "/proc/PID/NAME", or nothing: a pid of 0, a dead process, a restricted /proc.
std::optional<std::string> read_proc(pid_t pid, const char* name) {
  const auto path = "/proc/" + std::to_string(pid) + "/" + name;
  const shm::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  std::string text(kProcFileBytesMax, '\0');
  const auto size = ::read(file.get(), text.data(), text.size());
  if (size <= 0) return std::nullopt;
  text.resize(static_cast<std::size_t>(size));
  return text;
}

// Field 22 of /proc/PID/stat; the name in field 2 may hold anything, so the fields are counted from its end.
std::optional<std::string> start_time_of(pid_t pid) {
  const auto text = read_proc(pid, "stat");
  if (!text) return std::nullopt;
  auto at = text->rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = text->find(' ', at + 1);
  if (at == std::string::npos) return std::nullopt;
  return text->substr(at + 1, text->find(' ', at + 1) - at - 1);
}

// Before Linux 6.5: a pidfd by number is the right one if the number meant the same process before and after.
std::expected<shm::UniqueFd, shm::SystemError> pidfd_by_number(pid_t pid) {
  const auto before = start_time_of(pid);
  auto pidfd = shm::open_pidfd(pid);
  if (!pidfd && errno != ESRCH && errno != EINVAL) {
    return std::unexpected(shm::last_error("opening a client's pidfd"));
  }
  if (!pidfd || !before || start_time_of(pid) != before) return std::unexpected(dead());
  return pidfd;
}

std::expected<shm::UniqueFd, shm::SystemError> pidfd_of(int socket, pid_t pid) {
  int fd = -1;
  socklen_t size = sizeof fd;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) == 0) return shm::UniqueFd(fd);
  if (errno == ENOPROTOOPT) return pidfd_by_number(pid);
  if (errno == ESRCH || errno == EINVAL || errno == ENODATA) return std::unexpected(dead());
  return std::unexpected(shm::last_error("asking for a client's pidfd"));
}

std::string printable(std::string_view name) {
  std::string text(name);
  std::ranges::replace_if(text, [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

// Of a process in this pid namespace, without /proc, of which a look takes as long as half an attach.
std::optional<PidfdInfo> info_of(int pidfd) {
  PidfdInfo info{};
  info.mask = PIDFD_INFO_CREDS;
  if (::ioctl(pidfd, PIDFD_GET_INFO, &info) != 0 || (info.mask & PIDFD_INFO_CREDS) == 0) return std::nullopt;
  return info;
}

// Nothing: it is out of reach.
std::optional<ProcessStatus> status_of(std::string_view program, const Peer& peer) {
  if (!program.empty()) {
    if (const auto info = info_of(peer.pidfd.get())) {
      return ProcessStatus{.program = printable(program),
                           .real_uid = info->real_uid,
                           .effective_uid = info->effective_uid,
                           .real_gid = info->real_gid,
                           .effective_gid = info->effective_gid};
    }
  }
  ProcessStatus status;
  const auto text = read_proc(peer.pid, "status");
  return text && read_status(*text, status) ? std::optional(status) : std::nullopt;
}

std::string_view line_of(std::string_view text, std::string_view key) {
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    const auto line = text.substr(at, end - at);
    if (line.starts_with(key)) return line.substr(key.size());
    at = end + 1;
  }
  return {};
}

// The decimal numbers at the start of a line, between blanks.
template <std::size_t Count>
bool read_numbers(std::string_view line, std::array<std::uint32_t, Count>& numbers) {
  for (auto& number : numbers) {
    line.remove_prefix(std::min(line.find_first_not_of("\t "), line.size()));
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
    if (error != std::errc{}) return false;
    line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  }
  return true;
}

}  // namespace

bool read_status(std::string_view text, ProcessStatus& status) {
  std::array<std::uint32_t, 2> uids{};
  std::array<std::uint32_t, 2> gids{};
  if (!read_numbers(line_of(text, "Uid:"), uids) || !read_numbers(line_of(text, "Gid:"), gids)) return false;
  auto program = line_of(text, "Name:");
  program.remove_prefix(std::min(program.find_first_not_of("\t "), program.size()));
  status = {.program = printable(program),
            .real_uid = uids[0],
            .effective_uid = uids[1],
            .real_gid = gids[0],
            .effective_gid = gids[1]};
  return true;
}

std::expected<uid_t, shm::SystemError> uid_of_peer(int socket) {
  const auto credentials = credentials_of(socket);
  if (!credentials) return std::unexpected(credentials.error());
  return credentials->uid;
}

std::expected<Peer, shm::SystemError> identify_peer(int socket, std::string_view program) {
  const auto credentials = credentials_of(socket);
  if (!credentials) return std::unexpected(credentials.error());
  auto gids = supplementary_groups_of(socket);
  if (!gids) return std::unexpected(gids.error());
  auto pidfd = pidfd_of(socket, credentials->pid);
  if (!pidfd) return std::unexpected(pidfd.error());

  Peer peer{.pid = credentials->pid,
            .uid = credentials->uid,
            .connected_as = credentials->uid,
            .gids = {},
            .program = "?",
            .pidfd = std::move(*pidfd)};
  gid_t gid = credentials->gid;
  if (auto status = status_of(program, peer)) {
    peer.program = std::move(status->program);
    const bool is_as_it_was = status->effective_uid == credentials->uid && status->effective_gid == credentials->gid;
    if (is_as_it_was) peer.uid = status->real_uid;
    if (is_as_it_was) gid = status->real_gid;
  }
  // Alive after the reading: the number has meant this process all the time.
  if (shm::is_dead(peer.pidfd.get())) return std::unexpected(dead());
  peer.gids = std::move(*gids);
  peer.gids.push_back(gid);
  return peer;
}

// proc_pid_status(5): without an address space there is no VmSize. The first thread may be without one while others live,
// and then there are several.
bool has_given_up_memory(const Peer& peer) {
  if (!peer.pidfd || shm::is_dead(peer.pidfd.get())) return true;
  const auto text = read_proc(peer.pid, "status");
  std::array<std::uint32_t, 1> threads{};
  return text && line_of(*text, "VmSize:").empty() && read_numbers(line_of(*text, "Threads:"), threads) &&
         threads[0] <= 1;
}

}  // namespace tlsmux::engine::control
