#include "tests/system/port_user.hpp"

#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <tlsmux/ports.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <vector>

#include <doctest/doctest.h>

namespace tlsmux::test {
namespace {

// The child's side. It fails no test: its answers do.
class Application {
 public:
  PortAnswer obey(const PortOrder& order) {
    switch (order.kind) {
      case PortOrder::Kind::bind_service: return bind_service(order);
      case PortOrder::Kind::bind: return bind_plainly(order);
      case PortOrder::Kind::find: return find(order);
      case PortOrder::Kind::bequeath: return bequeath();
      default: return with_socket(order);
    }
  }

 private:
  static PortAnswer answer_of(int result) { return {.error = result == 0 ? 0 : errno}; }

  static shm::UniqueFd plain_socket(const SocketKind& kind) {
    return shm::UniqueFd(::socket(kind.family, kind.type | SOCK_CLOEXEC, 0));
  }
  static socklen_t address_of(const SocketKind& kind, std::uint16_t port, sockaddr_storage& storage) {
    storage = {};
    storage.ss_family = static_cast<sa_family_t>(kind.family);
    const in_port_t number = htons(port);  // at the same place in both families
    std::memcpy(reinterpret_cast<char*>(&storage) + offsetof(sockaddr_in, sin_port), &number, sizeof number);
    return kind.family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  }
  static std::uint16_t port_in(const sockaddr_storage& storage) {
    in_port_t number = 0;
    std::memcpy(&number, reinterpret_cast<const char*>(&storage) + offsetof(sockaddr_in, sin_port), sizeof number);
    return ntohs(number);
  }

  PortAnswer keep(shm::UniqueFd socket, std::uint16_t port) {
    struct stat status{};
    if (::fstat(socket.get(), &status) != 0) return {.error = errno};
    sockets_[port].push_back(std::move(socket));
    return {.error = 0, .port = port, .socket_inode = status.st_ino};
  }
  PortAnswer bind_service(const PortOrder& order) {
    auto socket = plain_socket(order.socket);
    if (!socket) return {.error = errno};
    sockaddr_storage storage;
    const auto length = address_of(order.socket, 0, storage);
    const auto* const service = order.service[0] != '\0' ? order.service.data() : nullptr;
    if (::tmx_bind_service(socket.get(), reinterpret_cast<sockaddr*>(&storage), length, service, order.text.data()) !=
        0) {
      return {.error = errno};
    }
    return keep(std::move(socket), port_in(storage));
  }
  PortAnswer bind_plainly(const PortOrder& order) {
    auto socket = plain_socket(order.socket);
    if (!socket) return {.error = errno};
    const int on = 1;
    if (order.socket.type == SOCK_STREAM && order.socket.reuses_address) {
      ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    sockaddr_storage storage;
    auto length = address_of(order.socket, order.port, storage);
    if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0) return {.error = errno};
    if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {.error = errno};
    return keep(std::move(socket), port_in(storage));
  }
  static PortAnswer find(const PortOrder& order) {
    PortAnswer answer;
    const auto* const protocol = order.socket.type == SOCK_STREAM ? "tcp" : "udp";
    if (::tmx_find_service_port(order.service.data(), order.text.data(), protocol, &answer.port) != 0) {
      answer.error = errno;
    }
    return answer;
  }
  PortAnswer bequeath() {
    const auto child = ::fork();
    if (child < 0) return {.error = errno};
    if (child > 0) return {.pid = child};
    while (true) ::pause();
  }
  PortAnswer with_socket(const PortOrder& order) {
    const auto found = sockets_.find(order.port);
    if (found == sockets_.end()) return {.error = ENOENT};
    auto& socket = found->second.front();
    const auto* const service = order.service[0] != '\0' ? order.service.data() : nullptr;
    switch (order.kind) {
      case PortOrder::Kind::listen: return answer_of(::listen(socket.get(), 16));
      case PortOrder::Kind::release: return answer_of(::tmx_release_service(socket.get(), service));
      case PortOrder::Kind::accept: return accept(socket);
      case PortOrder::Kind::close: sockets_.erase(found); return {};
      default: return {.error = EINVAL};
    }
  }
  PortAnswer accept(const shm::UniqueFd& listener) {
    shm::UniqueFd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection) return {.error = errno};
    connections_.push_back(std::move(connection));
    return {};
  }

  std::map<std::uint16_t, std::vector<shm::UniqueFd>> sockets_;  // by port
  std::vector<shm::UniqueFd> connections_;
};

int run_application(int orders) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  Application application;
  PortOrder order;
  while (::recv(orders, &order, sizeof order, 0) == sizeof order) {
    const auto answer = application.obey(order);
    if (::send(orders, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer) return 1;
  }
  return 0;
}

template <std::size_t kSize>
void set_text(std::array<char, kSize>& field, const std::string& text) {
  REQUIRE(text.size() < kSize);
  std::ranges::copy(text, field.begin());
}

}  // namespace

PortUser::PortUser(const PortScene& scene, const Identity& who) {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  ours_.reset(ends[0]);
  const shm::UniqueFd theirs(ends[1]);
  process_ = std::make_unique<ChildProcess>([&] {
    scene.enter(who);
    return run_application(theirs.get());
  });
}

PortAnswer PortUser::bind_service(const std::string& service, const std::string& type, const SocketKind& socket) {
  PortOrder order{.kind = PortOrder::Kind::bind_service, .socket = socket};
  set_text(order.service, service);
  set_text(order.text, type);
  return this->order(order);
}

PortAnswer PortUser::bind(std::uint16_t port, const SocketKind& socket) {
  return order({.kind = PortOrder::Kind::bind, .port = port, .socket = socket});
}

PortAnswer PortUser::find(const std::string& service, const std::string& label, const SocketKind& socket) {
  PortOrder order{.kind = PortOrder::Kind::find, .socket = socket};
  set_text(order.service, service);
  set_text(order.text, label);
  return this->order(order);
}

PortAnswer PortUser::release(const std::string& service, std::uint16_t port) {
  PortOrder order{.kind = PortOrder::Kind::release, .port = port};
  set_text(order.service, service);
  return this->order(order);
}

void PortUser::kill() {
  process_->send_signal(SIGKILL);
  CHECK(process_->wait() == 128 + SIGKILL);
}

PortAnswer PortUser::order(const PortOrder& order) {
  PortAnswer answer;
  REQUIRE(::send(ours_.get(), &order, sizeof order, MSG_NOSIGNAL) == sizeof order);
  REQUIRE(::recv(ours_.get(), &answer, sizeof answer, 0) == sizeof answer);
  return answer;
}

std::uint16_t bind_surely(PortUser& user, const std::string& service, const std::string& type,
                          const SocketKind& socket) {
  const auto answer = user.bind_service(service, type, socket);
  REQUIRE_MESSAGE(answer.error == 0, std::strerror(answer.error));
  return answer.port;
}

}  // namespace tlsmux::test
