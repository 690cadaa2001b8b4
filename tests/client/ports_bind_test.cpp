// Sockets that are bound to ports of a service.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <tlsmux/ports.hpp>

#include "tests/client/port_fixture.hpp"
#include "tests/support/skip.hpp"

using namespace tlsmux::test;
namespace shm = tlsmux::shm;

namespace {

sockaddr* as_address(auto& address) { return reinterpret_cast<sockaddr*>(&address); }

bool has_option(int socket, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  REQUIRE(::getsockopt(socket, SOL_SOCKET, name, &value, &length) == 0);
  return value != 0;
}

std::string last_error(const PortClient& attached) {
  std::array<char, 512> text{};
  CHECK(tmx_client_last_error(attached.client, text.data(), text.size()) > 0);
  return text.data();
}

// The environment by which the functions without a client find their engine.
class Environment {
 public:
  explicit Environment(const FakeEngineOptions& options) {
    ::setenv("TLSMUX_CONTROL_SOCKET", options.control_socket.c_str(), 1);
    ::setenv("TLSMUX_GROUP", options.group.c_str(), 1);
  }
  ~Environment() {
    ::unsetenv("TLSMUX_CONTROL_SOCKET");
    ::unsetenv("TLSMUX_GROUP");
    ::unsetenv("TLSMUX_SERVICE");
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
};

}  // namespace

TEST_CASE("ports.a socket is bound to a port of the service, which is written into the address") {
  const FakeEngineNames names;
  auto options = names.options();
  options.ports = {.dynamic = free_ports(4), .leases = 2};
  ThreadEngine engine(options);
  const PortClient attached(options);

  const auto tcp = new_socket();
  auto address = loopback(7);  // not read
  REQUIRE(tmx_client_bind(attached.client, tcp.get(), as_address(address), sizeof address, "dynamic") == 0);
  CHECK(ntohs(address.sin_port) == options.ports.dynamic[0]);
  CHECK(port_of(tcp.get()) == options.ports.dynamic[0]);
  CHECK(address.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
  CHECK(has_option(tcp.get(), SO_REUSEADDR));
  CHECK_FALSE(has_option(tcp.get(), SO_REUSEPORT));

  const auto udp = new_socket(SOCK_DGRAM);
  REQUIRE(tmx_client_bind(attached.client, udp.get(), nullptr, 0, "dynamic:journal") == 0);
  CHECK(port_of(udp.get()) != 0);
  CHECK_FALSE(has_option(udp.get(), SO_REUSEADDR));

  CHECK(tmx_client_bind(attached.client, tcp.get(), nullptr, 0, "dynamic") == -EINVAL);  // bound already
  CHECK(tmx_client_release(attached.client, tcp.get()) == 0);
  CHECK(tmx_client_release(attached.client, tcp.get()) == -ENOENT);
  wait_until([&] { return engine.ports().releases.size() == 1; });
  CHECK(engine.ports().releases[0].port == options.ports.dynamic[0]);
}

TEST_CASE("ports.IPv6 sockets take v6 and mapped addresses") {
  const FakeEngineNames names;
  auto options = names.options();
  options.ports.dynamic = free_ports(3);
  ThreadEngine engine(options);
  const PortClient attached(options);
  const shm::UniqueFd probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!probe) return skip("this machine has no IPv6");
  sockaddr_in6 mapped{};
  mapped.sin6_family = AF_INET6;
  mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
  mapped.sin6_addr.s6_addr[12] = 127;
  mapped.sin6_addr.s6_addr[15] = 1;
  const auto first = new_socket(SOCK_STREAM, AF_INET6);
  REQUIRE(tmx_client_bind(attached.client, first.get(), as_address(mapped), sizeof mapped, "dynamic") == 0);
  CHECK(ntohs(mapped.sin6_port) == options.ports.dynamic[0]);

  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  const auto second = new_socket(SOCK_DGRAM, AF_INET6);
  const int on = 1;
  REQUIRE(::setsockopt(second.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0);
  CHECK(tmx_client_bind(attached.client, second.get(), as_address(any), sizeof any, "dynamic") == 0);
  // The mapped address cannot be had by a v6-only socket: what bind says is passed on, and the port is given back.
  const auto third = new_socket(SOCK_STREAM, AF_INET6);
  REQUIRE(::setsockopt(third.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0);
  CHECK(tmx_client_bind(attached.client, third.get(), as_address(mapped), sizeof mapped, "dynamic") < 0);
  wait_until([&] { return engine.ports().releases.size() == 1; });
  CHECK(engine.ports().releases[0].in_use == 0);
}

TEST_CASE("ports.what makes no sense is refused before anything is claimed") {
  const FakeEngineNames names;
  auto options = names.options();
  options.ports.dynamic = free_ports(1);
  ThreadEngine engine(options);
  const PortClient attached(options);
  const auto tcp = new_socket();
  const auto local = new_socket(SOCK_STREAM, AF_UNIX);
  auto address = loopback();
  sockaddr_in6 other_family{};
  other_family.sin6_family = AF_INET6;
  const auto bind = [&](int socket, sockaddr* to, socklen_t length, const char* type) {
    return tmx_client_bind(attached.client, socket, to, length, type);
  };
  CHECK(bind(tcp.get(), as_address(address), sizeof address, nullptr) == -EINVAL);
  CHECK(bind(tcp.get(), as_address(address), sizeof address, "dynamic:") == -EINVAL);
  CHECK(bind(tcp.get(), as_address(address), 8, "dynamic") == -EINVAL);
  CHECK(bind(tcp.get(), nullptr, 16, "dynamic") == -EINVAL);
  CHECK(bind(local.get(), as_address(address), sizeof address, "dynamic") == -EINVAL);
  CHECK(bind(-1, as_address(address), sizeof address, "dynamic") == -EBADF);
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  CHECK(bind(pipe[0], as_address(address), sizeof address, "dynamic") == -ENOTSOCK);
  ::close(pipe[0]);
  ::close(pipe[1]);
  CHECK(tmx_client_release(attached.client, tcp.get()) == -EINVAL);  // not bound
  CHECK(engine.ports().claims.empty());

  // That it is of another family its bind says: the port goes back.
  CHECK(bind(tcp.get(), as_address(other_family), sizeof other_family, "dynamic") == -EINVAL);
  wait_until([&] { return engine.ports().releases.size() == 1; });
  CHECK(engine.ports().releases[0].in_use == 0);
}

TEST_CASE("ports.a port that a stranger holds is reported, and the next one is tried") {
  const FakeEngineNames names;
  auto options = names.options();
  const auto stranger = strangers_listener();
  const auto taken = port_of(stranger.get());
  options.ports = {.dynamic = {taken, free_ports(1)[0]}, .static_port = taken};
  ThreadEngine engine(options);
  const PortClient attached(options);
  const auto socket = new_socket();
  auto address = loopback();
  REQUIRE(tmx_client_bind(attached.client, socket.get(), as_address(address), sizeof address, "dynamic") == 0);
  CHECK(ntohs(address.sin_port) == options.ports.dynamic[1]);
  wait_until([&] { return engine.ports().releases.size() == 1; });
  CHECK(engine.ports().releases[0].port == taken);
  CHECK(engine.ports().releases[0].in_use == 1);
  // Of static ports there is no next one.
  const auto other = new_socket();
  CHECK(tmx_client_bind(attached.client, other.get(), as_address(address), sizeof address, "static:admin") ==
        -EADDRINUSE);
  CHECK(port_of(other.get()) == 0);
  CHECK(last_error(attached) == "binding port " + std::to_string(taken) +
                                    "/tcp: Address already in use; a socket that nobody claimed holds it: "
                                    "`tlsmux ports` shows whose");
  wait_until([&] { return engine.ports().releases.size() == 2; });
}

TEST_CASE("ports.a port that was closed without a word is as good as new when it is given again") {
  const FakeEngineNames names;
  auto options = names.options();
  const auto ports = free_ports(2);
  options.ports = {.dynamic = {ports[0], ports[0], ports[1]}};
  ThreadEngine engine(options);
  const PortClient attached(options);
  auto address = loopback();
  auto socket = new_socket();
  REQUIRE(tmx_client_bind(attached.client, socket.get(), as_address(address), sizeof address, "dynamic") == 0);
  REQUIRE(ntohs(address.sin_port) == ports[0]);
  socket.reset();
  const auto stranger = new_socket();
  REQUIRE(::bind(stranger.get(), as_address(address), sizeof address) == 0);

  const auto next = new_socket();
  REQUIRE(tmx_client_bind(attached.client, next.get(), as_address(address), sizeof address, "dynamic") == 0);
  CHECK(ntohs(address.sin_port) == ports[1]);
  wait_until([&] { return engine.ports().releases.size() == 1; });
  CHECK(engine.ports().releases[0].port == ports[0]);
  CHECK(engine.ports().releases[0].in_use == 1);
}

TEST_CASE("ports.the engine is to look where a port of this process's own cannot be bound") {
  const FakeEngineNames names;
  auto options = names.options();
  options.ports.static_port = free_ports(1)[0];
  ThreadEngine engine(options);
  const PortClient attached(options);
  auto address = loopback();
  const auto own = new_socket();
  REQUIRE(tmx_client_bind(attached.client, own.get(), as_address(address), sizeof address, "static:admin") == 0);
  REQUIRE(::listen(own.get(), 1) == 0);
  const auto second = new_socket();
  CHECK(tmx_client_bind(attached.client, second.get(), as_address(address), sizeof address, "static:admin") ==
        -EADDRINUSE);
  // It cannot tell whether that is its own socket: who says that somebody else has it would lose it.
  wait_until([&] { return engine.ports().releases.size() == 1; });
  CHECK(engine.ports().releases[0].port == options.ports.static_port);
  CHECK(engine.ports().releases[0].in_use == shm::kInUseByAnyone);
  CHECK(tmx_client_release(attached.client, own.get()) == 0);
}

TEST_CASE("ports.a label whose port cannot be bound again is asked for once more, and may have moved on") {
  const FakeEngineNames names;
  auto options = names.options();
  const auto ports = free_ports(2);
  int error = 0;
  std::size_t claims = 0;
  SUBCASE("it has") {
    options.ports.dynamic = {ports[0], ports[0], ports[1]};
    claims = 3;
  }
  SUBCASE("it has not: the process's own socket is there") {
    options.ports.dynamic = {ports[0], ports[0], ports[0], ports[1]};
    claims = 3;
    error = -EADDRINUSE;
  }
  ThreadEngine engine(options);
  const PortClient attached(options);
  auto address = loopback();
  const auto own = new_socket();
  REQUIRE(tmx_client_bind(attached.client, own.get(), as_address(address), sizeof address, "dynamic:journal") == 0);
  REQUIRE(::listen(own.get(), 1) == 0);
  const auto second = new_socket();
  CHECK(tmx_client_bind(attached.client, second.get(), as_address(address), sizeof address, "dynamic:journal") ==
        error);
  CHECK(port_of(second.get()) == (error == 0 ? ports[1] : 0));
  CHECK(engine.ports().claims.size() == claims);
  wait_until([&] { return engine.ports().releases.size() == claims - (error == 0 ? 2 : 1); });
  for (const auto& release : engine.ports().releases) CHECK(release.in_use == shm::kInUseByAnyone);
}

TEST_CASE("ports.a socket for which there is no port stays as it was") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  const PortClient attached(options);
  const auto socket = new_socket();
  CHECK(tmx_client_bind(attached.client, socket.get(), nullptr, 0, "dynamic") == -EADDRINUSE);
  CHECK_FALSE(has_option(socket.get(), SO_REUSEADDR));
}

TEST_CASE("ports.no function is a cancellation point") {
  const FakeEngineNames names;
  auto options = names.options();
  options.ports = {.dynamic = free_ports(8), .static_port = free_ports(1)[0], .leases = 2};
  ThreadEngine engine(options);
  const Environment environment(options);
  bool went_on = false;
  std::thread cancelled([&] {
    ::pthread_cancel(::pthread_self());
    auto address = loopback();
    std::uint16_t port = 0;
    const shm::UniqueFd sockets[] = {new_socket(), new_socket(), new_socket()};
    went_on = tmx_bind_service(sockets[0].get(), as_address(address), sizeof address, nullptr, "static:admin") == 0 &&
              tmx_bind_service(sockets[1].get(), nullptr, 0, nullptr, "dynamic") == 0 &&
              tmx_bind_service(sockets[2].get(), nullptr, 0, nullptr, "dynamic") == 0 &&
              tmx_find_service_port(nullptr, "admin", "tcp", &port) == 0 &&
              tmx_release_service(sockets[2].get(), nullptr) == 0;
    // Closing sockets is one.
    ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
  });
  cancelled.join();
  CHECK(went_on);
}

TEST_CASE("ports.ten ports are tried and no more") {
  const FakeEngineNames names;
  auto options = names.options();
  std::vector<shm::UniqueFd> strangers;
  for (int i = 0; i < 30; ++i) {
    strangers.push_back(strangers_listener());
    options.ports.dynamic.push_back(port_of(strangers.back().get()));
  }
  options.ports.leases = 4;
  ThreadEngine engine(options);
  const PortClient attached(options);
  const auto socket = new_socket();
  auto address = loopback();
  CHECK(tmx_client_bind(attached.client, socket.get(), as_address(address), sizeof address, "dynamic") == -EADDRINUSE);
  wait_until([&] { return engine.ports().releases.size() == 10; });
}

TEST_CASE("ports.where ports have holders they are shared with these") {
  const FakeEngineNames names;
  auto options = names.options();
  auto holder = new_socket();
  const int on = 1;
  REQUIRE(::setsockopt(holder.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
  auto address = loopback();
  REQUIRE(::bind(holder.get(), as_address(address), sizeof address) == 0);
  const auto held = port_of(holder.get());
  options.ports = {.dynamic = {free_ports(1)[0], held}, .leases = 1, .has_holders = true};
  ThreadEngine engine(options);
  const PortClient attached(options);
  for (const auto expected : options.ports.dynamic) {  // by an answer, by a lease
    const auto socket = new_socket();
    REQUIRE(tmx_client_bind(attached.client, socket.get(), as_address(address), sizeof address, "dynamic") == 0);
    CHECK(ntohs(address.sin_port) == expected);
    CHECK(has_option(socket.get(), SO_REUSEPORT));
  }
  CHECK(engine.ports().claims.size() == 1);
}

TEST_CASE("ports.the functions of a service attach by themselves, also in a forked child") {
  const FakeEngineNames names;
  auto options = names.options();
  options.ports = {.dynamic = free_ports(8), .static_port = 1443, .leases = 2};
  ThreadEngine engine(options);
  const Environment environment(options);
  auto address = loopback();
  const auto socket = new_socket();
  REQUIRE(tmx_bind_service(socket.get(), as_address(address), sizeof address, nullptr, "dynamic") == 0);
  CHECK(engine.clients() == 1);
  const auto second = new_socket();
  REQUIRE(tmx_bind_service(second.get(), nullptr, 0, options.group.c_str(), "dynamic") == 0);
  CHECK(engine.clients() == 1);
  std::uint16_t port = 0;
  CHECK(tmx_find_service_port(nullptr, "admin", "tcp", &port) == 0);
  CHECK(port == 1443);

  const pid_t child = ::fork();
  if (child == 0) {
    const shm::UniqueFd mine(::socket(AF_INET, SOCK_STREAM, 0));
    auto to = loopback();
    const bool clean =
        // not attached yet, and the parent's in any case
        tmx_release_service(socket.get(), nullptr) == -1 && errno == ENOENT &&
        tmx_bind_service(mine.get(), as_address(to), sizeof to, nullptr, "dynamic") == 0 && to.sin_port != 0;
    ::_exit(clean ? 0 : 1);
  }
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(engine.ports().claims.size() == 2);
  CHECK(tmx_release_service(socket.get(), nullptr) == 0);
  CHECK(tmx_release_service(socket.get(), nullptr) == -1);
  CHECK(errno == ENOENT);
}

TEST_CASE("ports.the functions of a service say by errno what is wrong") {
  const FakeEngineNames names;
  const auto options = names.options();
  const auto socket = new_socket();
  const auto bind = [&](const char* service, const char* type) {
    errno = 0;
    CHECK(tmx_bind_service(socket.get(), nullptr, 0, service, type) == -1);
    return errno;
  };
  CHECK(bind(nullptr, "dynamic") == EINVAL);  // no service is named
  const Environment environment(options);
  CHECK(bind(nullptr, "dynamic") == ECONNREFUSED);
  ThreadEngine engine(options);
  CHECK(bind("another", "dynamic") == ENOENT);
  ::setenv("TLSMUX_SERVICE", "another", 1);  // before TLSMUX_GROUP
  CHECK(bind(nullptr, "dynamic") == ENOENT);
  ::unsetenv("TLSMUX_SERVICE");
  CHECK(bind(nullptr, "dynamic") == EADDRINUSE);  // it has none
  CHECK(bind(nullptr, "static:forbidden") == EACCES);
  CHECK(bind(nullptr, "somewhere") == EINVAL);
}

TEST_CASE("ports.the wrapper binds, finds and gives back") {
  const FakeEngineNames names;
  auto options = names.options();
  options.ports = {.dynamic = free_ports(4), .static_port = 1443};
  ThreadEngine engine(options);
  auto client = tlsmux::Client::attach(attach_options(options));
  REQUIRE(client.has_value());
  const auto socket = new_socket();
  auto address = loopback();
  CHECK(tlsmux::bind_service(*client, socket.get(), address).has_value());
  CHECK(ntohs(address.sin_port) == options.ports.dynamic[0]);
  {
    auto port = tlsmux::ClaimedPort::claim(*client, "tcp");
    REQUIRE(port.has_value());
    CHECK(port->number() == options.ports.dynamic[1]);
    auto moved = std::move(*port);
    CHECK(moved.number() == options.ports.dynamic[1]);
  }
  wait_until([&] { return engine.ports().releases.size() == 1; });
  CHECK(tlsmux::ClaimedPort::claim(*client, "tcp", "static:nobody").error().code == -ENOENT);

  const Environment environment(options);
  CHECK(tlsmux::find_service_port("admin", "tcp").value() == 1443);
  CHECK(tlsmux::find_service_port("nobody", "tcp").error().code == -ENOENT);
  const auto other = new_socket();
  CHECK(tlsmux::bind_service(other.get(), address).has_value());
  CHECK(tlsmux::release_service(other.get()).has_value());
}
