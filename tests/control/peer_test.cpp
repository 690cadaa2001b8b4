#include "engine/control/peer.hpp"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include <doctest/doctest.h>

#include "tests/broker/process.hpp"

using namespace tlsmux;
using engine::control::identify_peer;
using engine::control::ProcessStatus;
using engine::control::read_status;

namespace {

std::array<shm::UniqueFd, 2> socket_pair() {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  return {shm::UniqueFd(ends[0]), shm::UniqueFd(ends[1])};
}

}  // namespace

TEST_CASE("engine.peer is read from a process status") {
  ProcessStatus status;
  REQUIRE(read_status("Name:\tcat\nState:\tR\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9\n", status));
  CHECK(status.program == "cat");
  CHECK(status.real_uid == 1);
  CHECK(status.effective_uid == 2);
  CHECK(status.real_gid == 5);
  CHECK(status.effective_gid == 6);
}

TEST_CASE("hostile.peer names in a process status are made printable and cannot pass for other lines") {
  ProcessStatus status;
  REQUIRE(read_status("Name:\ta\x1b[2J\xc3\xa9\nUid:\t1\t1\t1\t1\nGid:\t1\t1\t1\t1\n", status));
  CHECK(status.program == "a?[2J??");
  CHECK(!read_status("", status));
  CHECK(!read_status("Name:\tcat\n", status));
  CHECK(!read_status("Uid:\t\nGid:\t1\n", status));
  CHECK(!read_status("Uid:\t99999999999\t1\nGid:\t1\n", status));
  CHECK(!read_status("Uid:\t1\nGid:\t1\n", status));
  CHECK(!read_status("Name:\tUid:\t1\t1\nGid:\t1\n", status));
}

TEST_CASE("engine.peer of a socket is the process that made it") {
  const auto sockets = socket_pair();
  const auto peer = identify_peer(sockets[0].get());
  REQUIRE(peer);
  CHECK(peer->pid == ::getpid());
  CHECK(peer->uid == ::getuid());
  CHECK(peer->pidfd);
  std::array<char, 16> name{};
  ::prctl(PR_GET_NAME, name.data());
  CHECK(peer->program == name.data());
  CHECK(std::ranges::find(peer->gids, ::getgid()) != peer->gids.end());
}

TEST_CASE("engine.peer that is dead is said to be dead") {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const shm::UniqueFd carrier_end(ends[0]);
  const shm::UniqueFd child_end(ends[1]);
  // A socket whose maker is the child, and which outlives it: we keep both ends.
  test::ChildProcess child([&] {
    const auto made = socket_pair();
    alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> space{};
    char byte = 0;
    iovec data{.iov_base = &byte, .iov_len = 1};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = space.size();
    auto* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(2 * sizeof(int));
    const std::array<int, 2> fds{made[0].get(), made[1].get()};
    std::copy_n(reinterpret_cast<const char*>(fds.data()), sizeof fds, reinterpret_cast<char*>(CMSG_DATA(part)));
    return ::sendmsg(child_end.get(), &message, 0) == 1 ? 0 : 1;
  });
  REQUIRE(child.wait() == 0);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> space{};
  char byte = 0;
  iovec data{.iov_base = &byte, .iov_len = 1};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = space.data();
  message.msg_controllen = space.size();
  REQUIRE(::recvmsg(carrier_end.get(), &message, MSG_CMSG_CLOEXEC) == 1);
  std::array<int, 2> fds{};
  std::copy_n(reinterpret_cast<const char*>(CMSG_DATA(CMSG_FIRSTHDR(&message))), sizeof fds,
              reinterpret_cast<char*>(fds.data()));
  const shm::UniqueFd one(fds[0]);
  const shm::UniqueFd other(fds[1]);
  const auto peer = identify_peer(one.get());
  REQUIRE(!peer);
  CHECK(peer.error().code == ESRCH);
}
