#include "ports/diagnosis/socket_owner.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <optional>
#include <string_view>
#include <tuple>

#include "shm/system/pidfd.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::ports {
namespace {

constexpr long kPidfsMagic = 0x50494446;  // linux/magic.h, Linux 6.9
constexpr std::size_t kProcFileBytesMax = 4096;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

// Null, as everything here is empty, when the process has gone or is another user's.
Folder open_folder(int parent, const char* name) {
  shm::UniqueFd descriptor(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor) return nullptr;
  Folder folder(::fdopendir(descriptor.get()));
  if (folder) std::ignore = descriptor.release();
  return folder;
}

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::vector<std::uint32_t> pids() {
  std::vector<std::uint32_t> found;
  const auto proc = open_folder(AT_FDCWD, "/proc");
  if (!proc) return found;
  while (const auto* entry = ::readdir(proc.get())) {
    if (const auto pid = number_of<std::uint32_t>(static_cast<const char*>(entry->d_name))) found.push_back(*pid);
  }
  std::ranges::sort(found);
  return found;
}

// "socket:[4711]".
std::optional<std::uint64_t> socket_inode(int folder, const char* name) {
  constexpr std::string_view kBefore = "socket:[";
  std::array<char, 40> target{};
  const auto size = ::readlinkat(folder, name, target.data(), target.size());
  if (size <= 0) return std::nullopt;
  std::string_view text(target.data(), static_cast<std::size_t>(size));
  if (!text.starts_with(kBefore) || !text.ends_with(']')) return std::nullopt;
  text.remove_prefix(kBefore.size());
  text.remove_suffix(1);
  return number_of<std::uint64_t>(text);
}

// Takes those that the process has open out of `wanted`, which is sorted.
std::vector<std::uint64_t> take_open_sockets(int process, std::vector<std::uint64_t>& wanted) {
  std::vector<std::uint64_t> found;
  const auto folder = open_folder(process, "fd");
  if (!folder) return found;
  const int descriptor = ::dirfd(folder.get());
  while (const auto* entry = ::readdir(folder.get())) {
    const auto inode = socket_inode(descriptor, static_cast<const char*>(entry->d_name));
    if (!inode) continue;
    const auto at = std::ranges::lower_bound(wanted, *inode);
    if (at == wanted.end() || *at != *inode) continue;
    found.push_back(*inode);
    wanted.erase(at);
  }
  return found;
}

std::optional<std::string> read_file(int folder, const char* name) {
  const shm::UniqueFd file(::openat(folder, name, O_RDONLY | O_CLOEXEC));
  std::string text(kProcFileBytesMax, '\0');
  const auto size = file ? ::read(file.get(), text.data(), text.size()) : -1;
  if (size < 0) return std::nullopt;
  text.resize(static_cast<std::size_t>(size));
  return text;
}

// The first of the four ids. A newline in the process's name is escaped there, so that no name forges this line.
std::optional<std::uint32_t> real_uid(int process) {
  constexpr std::string_view kBefore = "\nUid:\t";
  const auto text = read_file(process, "status");
  if (!text) return std::nullopt;
  const auto at = text->find(kBefore);
  if (at == std::string::npos) return std::nullopt;
  const auto rest = std::string_view(*text).substr(at + kBefore.size());
  return number_of<std::uint32_t>(rest.substr(0, rest.find('\t')));
}

std::uint64_t pidfd_inode(std::uint32_t pid) {
  const auto pidfd = shm::open_pidfd(static_cast<pid_t>(pid));
  struct statfs system{};
  struct stat status{};
  if (!pidfd || ::fstatfs(pidfd.get(), &system) != 0 || system.f_type != kPidfsMagic) return 0;
  return ::fstat(pidfd.get(), &status) == 0 ? status.st_ino : 0;
}

// `process` is its folder, which says nothing any more once the process is gone, even if another has its number then. It
// is read last: what was asked for by number before was about this process.
std::optional<SocketOwner> describe(int process, std::uint32_t pid) {
  SocketOwner owner;
  owner.pid = pid;
  owner.pidfd_inode = pidfd_inode(pid);
  auto program = read_file(process, "comm");
  const auto uid = real_uid(process);
  if (!program || !uid) return std::nullopt;
  if (program->ends_with('\n')) program->pop_back();
  owner.uid = *uid;
  owner.program = *std::move(program);
  return owner;
}

std::vector<std::uint64_t> sorted(std::span<const std::uint64_t> inodes) {
  std::vector<std::uint64_t> all(inodes.begin(), inodes.end());
  std::ranges::sort(all);
  const auto [from, to] = std::ranges::unique(all);
  all.erase(from, to);
  return all;
}

shm::UniqueFd open_process(std::uint32_t pid) {
  return shm::UniqueFd(::open(("/proc/" + std::to_string(pid)).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

std::vector<SocketOwner> find_socket_owners(std::span<const std::uint64_t> inodes) {
  auto wanted = sorted(inodes);
  std::vector<SocketOwner> owners;
  for (const auto pid : pids()) {
    if (wanted.empty()) break;
    const auto process = open_process(pid);
    if (!process) continue;
    const auto found = take_open_sockets(process.get(), wanted);
    if (found.empty()) continue;
    const auto owner = describe(process.get(), pid);
    for (const auto inode : found) {
      if (owner) {
        owners.push_back(*owner);
        owners.back().socket_inode = inode;
      } else {
        wanted.insert(std::ranges::lower_bound(wanted, inode), inode);  // of the dead; a child may have it
      }
    }
  }
  return owners;
}

std::vector<std::uint64_t> open_sockets(std::uint32_t pid, std::span<const std::uint64_t> inodes) {
  const auto process = open_process(pid);
  if (!process) return {};
  auto wanted = sorted(inodes);
  return take_open_sockets(process.get(), wanted);
}

}  // namespace tlsmux::ports
