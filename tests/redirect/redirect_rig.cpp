#include "tests/redirect/redirect_rig.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "engine/confinement/confinement.hpp"
#include "engine/wrapper/addresses.hpp"

namespace tlsmux::test {

using namespace engine::wrapper;

namespace {

constexpr int kPatienceMs = 20'000;

SocketAddress loopback_of(ProgramSocket::Kind kind, std::uint16_t port) {
  if (kind != ProgramSocket::Kind::ipv4_mapped) {
    return socket_address(loopback(kind == ProgramSocket::Kind::ipv4 ? AF_INET : AF_INET6, port));
  }
  sockaddr_in6 mapped{};
  mapped.sin6_family = AF_INET6;
  mapped.sin6_port = htons(port);
  const auto bytes = loopback(AF_INET, port).address;
  std::memcpy(&mapped.sin6_addr, bytes.data(), bytes.size());
  SocketAddress address;
  std::memcpy(&address.storage, &mapped, sizeof mapped);
  address.length = sizeof mapped;
  return address;
}

}  // namespace

ProgramSocket::ProgramSocket(Kind kind)
    : kind_(kind), socket_(::socket(kind == Kind::ipv4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const auto any = loopback_of(kind, 0);
  if (!socket_ || ::bind(socket_.get(), any.get(), any.length) != 0) throw std::runtime_error("cannot bind a socket");
}

bool ProgramSocket::connect(std::uint16_t port) {
  const auto to = loopback_of(kind_, port);
  return ::connect(socket_.get(), to.get(), to.length) == 0;
}

shm::PeerAddress ProgramSocket::local() const { return local_address_of(socket_.get()).value(); }

std::uint64_t ProgramSocket::inode() const {
  struct stat status{};
  return ::fstat(socket_.get(), &status) == 0 ? status.st_ino : 0;
}

bool ProgramSocket::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const auto sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool ProgramSocket::send(const shm::StreamStart& start) const {
  return send(std::string_view(reinterpret_cast<const char*>(&start), sizeof start));
}

std::optional<std::string> ProgramSocket::read_all() const {
  std::string all;
  while (true) {
    pollfd wanted{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wanted, 1, kPatienceMs) <= 0) throw std::runtime_error("the connection does not end");
    std::array<char, 65536> bytes{};
    const auto got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (got < 0) return std::nullopt;
    if (got == 0) return all;
    all.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

void ProgramSocket::end_writing() const { ::shutdown(socket_.get(), SHUT_WR); }

std::string ProgramSocket::receive(std::size_t count) const {
  std::string bytes(count, '\0');
  const auto got = ::recv(socket_.get(), bytes.data(), count, MSG_WAITALL);
  bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return bytes;
}

Record next_record(const ProgramSocket& socket) {
  shm::StreamRecordHeader header;
  const auto bytes = socket.receive(sizeof header);
  if (bytes.size() != sizeof header) throw std::runtime_error("the stream ends without a record");
  std::memcpy(&header, bytes.data(), sizeof header);
  return {.type = shm::type_of(header), .body = socket.receive(shm::bytes_of(header))};
}

OwnerOf asks_kernel() {
  auto lookup = ports::ConnectionLookup::open();
  if (!lookup) throw std::runtime_error(lookup.error().message);
  auto shared = std::make_shared<ports::ConnectionLookup>(std::move(*lookup));
  return [shared](const shm::PeerAddress& local, const shm::PeerAddress& remote) {
    return shared->owner(local, remote).value_or(std::nullopt);
  };
}

// Opened before the process may open nothing for writing any more.
shm::UniqueFd no_output() {
  static const shm::UniqueFd output(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  return shm::UniqueFd(::fcntl(output.get(), F_DUPFD_CLOEXEC, 3));
}

// Each thread of a rig has its rules then, as in an engine.
void confine_once() {
  static const bool is_confined = [] {
    return no_output() && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           engine::confinement::confine_process(STDERR_FILENO).has_value();
  }();
  if (!is_confined) throw std::runtime_error("cannot confine the wrapper's thread");
}

RedirectRig::RedirectRig(OwnerOf owner_of, shm::UniqueFd log)
    : log_(config::LogLevel::error, log ? std::move(log) : no_output(), engine::Log::Mode::synchronous) {
  confine_once();
  auto listeners = open_loopback_listeners(0);
  if (!listeners) throw std::runtime_error(listeners.error().message);
  port_ = listeners->port;
  auto thread =
      WrapperThread::start(std::move(*listeners), owner_of ? std::move(owner_of) : asks_kernel(), mailbox_, log_);
  if (!thread) throw std::runtime_error(thread.error().message);
  thread_ = std::move(*thread);
}

WrapperNews RedirectRig::news() {
  while (taken_.empty()) {
    pollfd wanted{.fd = mailbox_.descriptor(), .events = POLLIN, .revents = 0};
    if (::poll(&wanted, 1, kPatienceMs) <= 0) throw std::runtime_error("no news of the wrapper thread");
    taken_ = mailbox_.take();
  }
  auto first = std::move(taken_.front());
  taken_.erase(taken_.begin());
  return first;
}

Announcement announcement_of(const ProgramSocket& socket) {
  Announcement announcement;
  announcement.local = socket.local();
  announcement.socket_inode = socket.inode();
  announcement.socket_uid = ::geteuid();
  announcement.ticket.fill(0x5a);
  announcement.upstream = "HOST";
  announcement.groups = {3};
  announcement.pid = static_cast<std::uint32_t>(::getpid());
  announcement.uid = ::getuid();
  return announcement;
}

}  // namespace tlsmux::test
