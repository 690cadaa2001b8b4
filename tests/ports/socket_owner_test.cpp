#include "ports/diagnosis/socket_owner.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <string>
#include <tuple>

#include <doctest/doctest.h>

#include "shm/system/pidfd.hpp"
#include "tests/broker/process.hpp"
#include "tests/ports/sockets.hpp"
#include "tests/support/network_namespace.hpp"

using namespace tlsmux;
using namespace tlsmux::ports;
using namespace tlsmux::test;

namespace {

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    reader.reset(ends[0]);
    writer.reset(ends[1]);
  }
  shm::UniqueFd reader;
  shm::UniqueFd writer;
};

template <typename Value>
void send(const Pipe& pipe, const Value& value) {
  REQUIRE(::write(pipe.writer.get(), &value, sizeof value) == sizeof value);
}

template <typename Value>
Value receive(const Pipe& pipe) {
  Value value{};
  REQUIRE(::read(pipe.reader.get(), &value, sizeof value) == sizeof value);
  return value;
}

// Until it is killed.
int wait_for_ever() {
  while (true) ::pause();
}

// 0 where pidfds have no inode of their own.
std::uint64_t pidfd_inode(pid_t pid) {
  constexpr long kPidfsMagic = 0x50494446;
  const auto pidfd = shm::open_pidfd(pid);
  struct statfs system{};
  struct stat status{};
  REQUIRE(::fstatfs(pidfd.get(), &system) == 0);
  REQUIRE(::fstat(pidfd.get(), &status) == 0);
  return system.f_type == kPidfsMagic ? status.st_ino : 0;
}

std::vector<SocketOwner> owners_of(std::uint64_t inode) { return find_socket_owners(std::array{inode}); }

}  // namespace

TEST_CASE("ports.the owner of a socket is found with its user, name and pidfd inode") {
  const auto socket = bound_socket();
  const auto owners = owners_of(socket_inode(socket.get()));
  REQUIRE(owners.size() == 1);
  CHECK(owners[0].socket_inode == socket_inode(socket.get()));
  CHECK(owners[0].pid == static_cast<std::uint32_t>(::getpid()));
  CHECK(owners[0].uid == ::getuid());
  CHECK(owners[0].pidfd_inode == pidfd_inode(::getpid()));
  std::array<char, 17> name{};
  REQUIRE(::prctl(PR_GET_NAME, name.data()) == 0);
  CHECK(owners[0].program == name.data());
}

TEST_CASE("ports.the owners of several sockets are found in one pass") {
  const auto tcp = bound_socket();
  const auto udp = bound_socket({.family = AF_INET6, .type = SOCK_DGRAM});
  Pipe told;
  const ChildProcess child([&] {
    const auto socket = bound_socket();
    send(told, socket_inode(socket.get()));
    return wait_for_ever();
  });
  const auto childs = receive<std::uint64_t>(told);
  const auto none = socket_inode(tcp.get()) + 1'000'000'000'000;
  auto owners = find_socket_owners(
      std::array{childs, socket_inode(udp.get()), none, socket_inode(tcp.get()), socket_inode(udp.get())});
  REQUIRE(owners.size() == 3);
  const auto pid_of = [&](std::uint64_t inode) {
    return std::ranges::find(owners, inode, &SocketOwner::socket_inode)->pid;
  };
  CHECK(pid_of(socket_inode(tcp.get())) == static_cast<std::uint32_t>(::getpid()));
  CHECK(pid_of(socket_inode(udp.get())) == static_cast<std::uint32_t>(::getpid()));
  CHECK(pid_of(childs) == static_cast<std::uint32_t>(child.pid()));
  CHECK(find_socket_owners({}).empty());
  CHECK(owners_of(none).empty());
}

TEST_CASE("ports.a child that still listens is found when its parent is dead") {
  struct Told {
    std::uint64_t inode;
    pid_t heir;
  };
  Pipe told;
  ChildProcess parent([&] {
    const auto listener = listening_socket();
    const auto heir = ::fork();
    if (heir == 0) return wait_for_ever();
    send(told, Told{.inode = socket_inode(listener.get()), .heir = heir});
    return wait_for_ever();
  });
  const auto [inode, heir] = receive<Told>(told);
  const auto heir_pidfd = shm::open_pidfd(heir);

  auto owners = owners_of(inode);
  REQUIRE(owners.size() == 1);
  CHECK(owners[0].pid == static_cast<std::uint32_t>(std::min(parent.pid(), heir)));

  parent.send_signal(SIGKILL);
  CHECK(parent.wait() == 128 + SIGKILL);
  owners = owners_of(inode);
  REQUIRE(owners.size() == 1);
  CHECK(owners[0].pid == static_cast<std::uint32_t>(heir));
  CHECK(owners[0].pidfd_inode == pidfd_inode(heir));

  REQUIRE(shm::send_signal(heir_pidfd.get(), SIGKILL));
  pollfd ended{.fd = heir_pidfd.get(), .events = POLLIN, .revents = 0};
  REQUIRE(::poll(&ended, 1, 20'000) == 1);
  CHECK(owners_of(inode).empty());
}

TEST_CASE("ports.a program's name comes raw and forges nothing") {
  if (skip_without_root()) return;
  for (const std::string name : {"\033[31m\nred", "x\nUid:\t0\t0", ") R 1 (", "\377\200", "a\n"}) {
    Pipe told;
    const ChildProcess child([&] {
      become({.uid = 1700, .gid = 1700});
      REQUIRE(::prctl(PR_SET_NAME, name.c_str()) == 0);
      const auto socket = bound_socket();
      send(told, socket_inode(socket.get()));
      return wait_for_ever();
    });
    const auto owners = owners_of(receive<std::uint64_t>(told));
    REQUIRE(owners.size() == 1);
    CHECK(owners[0].program == name);
    CHECK(owners[0].uid == 1700);
  }
}

TEST_CASE("ports.owners are found while other processes come and go") {
  const auto socket = bound_socket();
  const auto inode = socket_inode(socket.get());
  Pipe told;
  const ChildProcess churn([&]() -> int {
    std::ignore = ::signal(SIGCHLD, SIG_IGN);  // no zombies
    send(told, 'x');
    while (true) {
      if (::fork() == 0) ::_exit(0);
    }
  });
  receive<char>(told);
  for (int round = 0; round < 100; ++round) {
    const auto owners = owners_of(inode);
    // The churning child has it too, and its children do, until they are dead.
    REQUIRE(owners.size() == 1);
    CHECK(owners[0].pid <= static_cast<std::uint32_t>(std::max(::getpid(), churn.pid())));
    // Where pids have begun anew it may be one that is dead by now.
    const auto pid = static_cast<pid_t>(owners[0].pid);
    if (pid == ::getpid() || pid == churn.pid()) CHECK(owners[0].pidfd_inode == pidfd_inode(pid));
  }
}

TEST_CASE("ports.sockets of other users' processes stay unknown without privilege") {
  if (skip_without_network_namespaces()) return;
  const NetworkNamespace network;
  const auto socket = bound_socket();
  const auto inode = socket_inode(socket.get());
  const int kept = socket.get();
  CHECK(network.in_process(
            [&] {
              ::close(kept);
              return owners_of(inode).empty() ? 0 : 1;
            },
            {.uid = 1700, .gid = 1700}) == 0);
}

TEST_CASE("ports.open sockets of one process are found, also where another has them, too") {
  const auto first = bound_socket();
  const auto second = bound_socket({.type = SOCK_DGRAM});
  const std::array wanted{socket_inode(second.get()), socket_inode(first.get()), std::uint64_t{1}};
  ChildProcess child(&wait_for_ever);
  auto found = open_sockets(static_cast<std::uint32_t>(child.pid()), wanted);
  std::ranges::sort(found);
  auto both = std::vector{wanted[0], wanted[1]};
  std::ranges::sort(both);
  CHECK(found == both);
  CHECK(open_sockets(static_cast<std::uint32_t>(::getpid()), std::array{std::uint64_t{1}}).empty());
  CHECK(open_sockets(0, wanted).empty());
}
