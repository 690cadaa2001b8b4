#include "engine/broker/control_listener.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <utility>

#include "shm/assert.hpp"
#include "shm/system/descriptor_refusal.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine::broker {
namespace {

constexpr int kBacklog = 4096;  // the kernel takes less where net.core.somaxconn is lower

using Problem = std::optional<std::string>;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  TMX_ASSERT(path.size() < sizeof address.sun_path);  // config/limits.hpp
  path.copy(address.sun_path, path.size());
  return address;
}

shm::UniqueFd make_socket() {
  return shm::UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

Problem make_folder(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  if (::mkdir(folder.c_str(), 0755) == 0) {
    // The umask may have taken rights away that clients need.
    if (::chmod(folder.c_str(), 0755) == 0) return std::nullopt;
  } else if (errno == EEXIST) {
    return std::nullopt;
  }
  return shm::last_error("making the folder of the control socket, " + folder.string()).message;
}

Problem clear_place(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return shm::last_error("looking at the control socket " + path).message;
  }
  if (!S_ISSOCK(status.st_mode)) return "the control socket's place " + path + " is taken by what is not a socket";
  const auto probe = make_socket();
  if (!probe) return shm::last_error("making a socket").message;
  const auto address = address_of(path);
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN) {
    return "a live tlsmuxd answers at the control socket " + path;
  }
  // EPROTOTYPE: it is a live socket of another kind.
  if (errno != ECONNREFUSED) return shm::last_error("trying the control socket " + path).message;
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return std::nullopt;
  return shm::last_error("removing the stale control socket " + path).message;
}

}  // namespace

std::expected<ControlListener, std::string> ControlListener::create(const std::string& path) {
  if (auto problem = make_folder(path)) return std::unexpected(*problem);
  if (auto problem = clear_place(path)) return std::unexpected(*problem);
  const auto failed = [&] {
    return std::unexpected(shm::last_error("listening at the control socket " + path).message);
  };
  ControlListener listener(path, make_socket());
  if (!listener.fd_) return failed();
  const auto address = address_of(path);
  // The mode comes with the file: nobody finds it closed for a moment. The broker has one thread.
  const auto umask_before = ::umask(0111);
  const bool bound = ::bind(listener.fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::umask(umask_before);
  if (!bound) return failed();
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return failed();
  listener.device_ = status.st_dev;
  listener.inode_ = status.st_ino;
  shm::refuse_descriptors(listener.fd_.get());  // an older kernel hands them to the engine, which detaches the sender
  if (::listen(listener.fd_.get(), kBacklog) != 0) return failed();
  return listener;
}

ControlListener::~ControlListener() {
  struct stat status{};
  const bool ours =
      fd_ && inode_ != 0 && ::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_;
  if (ours) ::unlink(path_.c_str());
}

}  // namespace tlsmux::engine::broker
