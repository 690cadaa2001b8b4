// Who is a member: the real uid, the real and the supplementary gids, and nothing else.

#include <grp.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include <doctest/doctest.h>

#include "tests/control/control_client.hpp"
#include "tests/control/server_process.hpp"

using namespace tlsmux;
using test::ControlClient;
using test::ServerProcess;

namespace {

constexpr uid_t kMember = 54'321;
constexpr uid_t kStranger = 54'322;
constexpr gid_t kGroup = 54'323;

// The errno of an attach by such a process; 0: granted; 200: the ids could not be set.
int attach_as(const ServerProcess& server, std::array<uid_t, 2> real_and_effective, gid_t gid, gid_t supplementary) {
  test::ChildProcess child([&] {
    const auto [real, effective] = real_and_effective;
    if (::setgroups(1, &supplementary) != 0 || ::setresgid(gid, gid, gid) != 0) return 200;
    if (::setresuid(real, effective, effective) != 0) return 200;
    return ControlClient(server.path()).attach_error(server.group());
  });
  return child.wait();
}

const config::Membership kMembers{.users = {kMember}, .groups = {kGroup}};

}  // namespace

TEST_CASE("engine.member is one by uid, by gid or by supplementary gid") {
  if (test::skip_without_root("becomes other users")) return;
  const ServerProcess server({.members = kMembers});
  CHECK(attach_as(server, {kMember, kMember}, kStranger, kStranger) == 0);
  CHECK(attach_as(server, {kStranger, kStranger}, kGroup, kStranger) == 0);
  CHECK(attach_as(server, {kStranger, kStranger}, kStranger, kGroup) == 0);
}

TEST_CASE("hostile.stranger is refused with EACCES whoever he is") {
  if (test::skip_without_root("becomes other users")) return;
  ServerProcess server({.members = kMembers});
  CHECK(attach_as(server, {kStranger, kStranger}, kStranger, kStranger) == EACCES);
  CHECK(attach_as(server, {test::kNobody, test::kNobody}, test::kNobody, test::kNobody) == EACCES);
  CHECK(attach_as(server, {0, 0}, 0, 0) == EACCES);
  const auto line = server.log().wait_for("uid=54322");
  CHECK(line.find("event=client_refused") != std::string::npos);
}

TEST_CASE("hostile.stranger in a set-user-id program of a member is still a stranger") {
  if (test::skip_without_root("becomes other users")) return;
  const ServerProcess server({.members = kMembers});
  CHECK(attach_as(server, {kStranger, kMember}, kStranger, kStranger) == EACCES);
  CHECK(attach_as(server, {kMember, kStranger}, kStranger, kStranger) == 0);
}

// It hands its socket to another process of his and begins a set-user-id program, for example.
TEST_CASE("hostile.stranger whose process becomes somebody else after it connected is still a stranger") {
  if (test::skip_without_root("becomes other users")) return;
  const ServerProcess server({.members = kMembers, .observers = {0}});
  const auto ask_as = [&](uid_t becomes, auto ask) {
    test::ChildProcess child([&, becomes] {
      constexpr gid_t kNone = kStranger;
      if (::setgroups(1, &kNone) != 0 || ::setresgid(kStranger, kStranger, 0) != 0) return 200;
      if (::setresuid(kStranger, kStranger, 0) != 0) return 200;
      ControlClient client(server.path());
      if (::setresuid(0, 0, 0) != 0 || ::setresgid(becomes, becomes, becomes) != 0) return 200;
      return ::setresuid(becomes, becomes, becomes) == 0 ? ask(client) : 200;
    });
    return child.wait();
  };
  CHECK(ask_as(kMember, [&](ControlClient& client) { return client.attach_error(server.group()); }) == EACCES);
  CHECK(ask_as(0, [&](ControlClient& client) {
          shm::ObserveRequest request;
          shm::set_text(request.group, server.group());
          client.send(request);
          return client.receive_error();
        }) == EACCES);
  CHECK(ask_as(0, [&](ControlClient& client) {
          shm::DrainUpstreamRequest request;
          shm::set_text(request.upstream, "acquirer");
          client.send(request);
          return client.receive_error();
        }) == EACCES);
}

TEST_CASE("hostile.stranger sees no group and looks into none") {
  if (test::skip_without_root("becomes other users")) return;
  const ServerProcess server({.members = kMembers, .observers = {0}});
  const auto look = [&](uid_t uid) {
    test::ChildProcess child([&, uid] {
      if (!test::become_user(uid)) return 200;
      ControlClient client(server.path());
      client.send(shm::ListGroupsRequest{});
      const auto groups = client.receive_as<shm::ListGroupsReply>();
      if (!groups || groups->count > 1) return 201;
      shm::ObserveRequest request;
      shm::set_text(request.group, server.group());
      client.send(request);
      return groups->count == 1 && client.receive_as<shm::ObserveReply>() ? 0 : client.receive_error();
    });
    return child.wait();
  };
  CHECK(look(kMember) == 0);
  CHECK(look(kStranger) == EACCES);
  test::ChildProcess root([&] {
    ControlClient client(server.path());
    client.send(shm::ListGroupsRequest{});
    return static_cast<int>(client.receive_as<shm::ListGroupsReply>()->count);
  });
  CHECK(root.wait() == 2);
}

TEST_CASE("hostile.stranger whom the log is full of hides no member's refusal") {
  if (test::skip_without_root("becomes other users")) return;
  ServerProcess server({.members = kMembers});
  test::ChildProcess stranger([&] {
    if (!test::become_user(kStranger)) return 1;
    for (int i = 0; i < 200; ++i) {
      if (ControlClient(server.path()).attach_error(server.group()) != EACCES) return 2;
    }
    return 0;
  });
  CHECK(stranger.wait() == 0);
  test::ChildProcess member(
      [&] { return test::become_user(kMember) ? ControlClient(server.path()).attach_error("OTHER") : 200; });
  CHECK(member.wait() == EACCES);
  const auto line = server.log().wait_for("uid=54321");
  CHECK(line.find("event=client_refused") != std::string::npos);
  CHECK(test::value_in(line, "unlogged") == "0");
}
