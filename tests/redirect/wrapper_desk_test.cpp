// Which connection is shared, and who may announce a socket.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "engine/wrapper/addresses.hpp"
#include "engine/wrapper/wrapper_desk.hpp"
#include "tests/redirect/redirect_rig.hpp"

using namespace tlsmux;
using engine::wrapper::Asker;
using engine::wrapper::WrapperDesk;
using test::ProgramSocket;

namespace {

struct Desk {
  config::Config config;
  engine::Log log{config::LogLevel::error, shm::UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC)),
                  engine::Log::Mode::synchronous};
  bool may_make = true;
  WrapperDesk desk{[this]() -> const config::Config& { return config; },
                   [this](const config::UpstreamSettings& made, std::string_view) { return add(made); }, log};

  Desk() {
    config.upstreams.resize(2);
    config.upstreams[0].name = "HOST";
    config.upstreams[0].groups = {"ATMS"};
    config.upstreams[1].name = "OTHER";
    config.upstreams[1].groups = {"TELLERS"};
  }

  // As in the engine, the configuration of before is gone afterwards.
  std::expected<void, std::string> add(const config::UpstreamSettings& made) {
    if (!may_make) return std::unexpected("it may not");
    auto next = config;
    next.upstreams.push_back(made);
    config = std::exchange(next, {});
    return {};
  }

  void add_rules() {
    config.ssl_wrapper.rules = {{.address = "192.0.2.0/24", .name = {}, .port = 443, .upstream = "HOST"},
                                {.address = "198.51.100.1", .name = {}, .port = 443, .upstream = "OTHER"},
                                {.address = {}, .name = "*.bank.example", .port = 443, .upstream = "HOST"}};
    desk.open();
  }
};

Asker atm() {
  return {.pid = static_cast<std::uint32_t>(::getpid()),
          .uid = ::getuid(),
          .effective_uid = ::geteuid(),
          .groups = {0},
          .group_names = {"ATMS"}};
}

shm::MatchPeerRequest to(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d, std::string_view name = {}) {
  shm::MatchPeerRequest request;
  request.peer = {.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, .port = 443};
  shm::set_text(request.server_name, name);
  return request;
}

shm::AnnounceStreamRequest announce(const ProgramSocket& socket, std::string_view upstream = "HOST") {
  shm::AnnounceStreamRequest request;
  request.local = socket.local();
  request.original = to(192, 0, 2, 7).peer;
  request.socket_inode = socket.inode();
  shm::set_text(request.upstream, upstream);
  return request;
}

}  // namespace

TEST_CASE("wrapper.without rules nothing is open") {
  Desk one;
  one.desk.open();
  const auto reply = one.desk.match(to(192, 0, 2, 7), atm());
  CHECK(reply.is_shared == 0);
  CHECK(reply.listener_port == 0);
  const ProgramSocket socket;
  CHECK(one.desk.announce(announce(socket), atm()).error().code == ENOENT);
}

TEST_CASE("wrapper.rules say what is shared") {
  Desk one;
  one.add_rules();
  const auto reply = one.desk.match(to(192, 0, 2, 7), atm());
  CHECK(reply.is_shared == 1);
  CHECK(reply.any_identity == 0);
  CHECK(reply.listener_port != 0);
  CHECK(shm::text_of(reply.upstream) == "HOST");
  CHECK(one.desk.match(to(192, 0, 3, 7), atm()).is_shared == 0);
  CHECK(one.desk.match(to(203, 0, 113, 1, "api.bank.example"), atm()).is_shared == 1);
  CHECK(one.desk.match(to(192, 0, 2, 7, "api.elsewhere.example"), atm()).is_shared == 0);
  // Another group's.
  CHECK(one.desk.match(to(198, 51, 100, 1), atm()).is_shared == 0);
  one.config.ssl_wrapper.rules[0].any_identity = true;
  CHECK(one.desk.match(to(192, 0, 2, 7), atm()).any_identity == 1);
}

TEST_CASE("wrapper.an upstream is made for a name on its first use, for those who may use the model") {
  Desk one;
  one.add_rules();
  one.config.ssl_wrapper.rules[2].create = true;
  one.config.ssl_wrapper.rules[2].any_identity = true;
  const auto request = to(203, 0, 113, 1, "API.bank.example.");
  auto stranger = atm();
  stranger.group_names = {"TELLERS"};
  CHECK(one.desk.match(request, stranger).is_shared == 0);
  CHECK(one.config.upstreams.size() == 2);

  auto reply = one.desk.match(request, atm());
  CHECK(reply.is_shared == 1);
  CHECK(reply.any_identity == 1);
  CHECK(reply.listener_port != 0);
  CHECK(shm::text_of(reply.upstream) == "api.bank.example:443");
  REQUIRE(one.config.upstreams.size() == 3);
  CHECK(one.config.upstreams[2].groups == std::vector<std::string>{"ATMS"});
  // Who asks next finds it, and who may not use the model still may not.
  CHECK(shm::text_of(one.desk.match(to(203, 0, 113, 2, "api.bank.example"), atm()).upstream) == "api.bank.example:443");
  CHECK(one.desk.match(request, stranger).is_shared == 0);
  CHECK(one.config.upstreams.size() == 3);

  ProgramSocket socket;
  REQUIRE(socket.connect(reply.listener_port));
  CHECK(one.desk.announce(announce(socket, "api.bank.example:443"), stranger).error().code == EACCES);
  CHECK(one.desk.announce(announce(socket, "new.bank.example:443"), atm()).error().code == ENOENT);
  CHECK(one.desk.announce(announce(socket, "api.bank.example:443"), atm()));

  one.may_make = false;
  reply = one.desk.match(to(203, 0, 113, 1, "new.bank.example"), atm());
  CHECK(reply.is_shared == 0);
  CHECK(reply.any_identity == 0);
  CHECK(shm::text_of(reply.upstream).empty());
}

TEST_CASE("wrapper.a socket is announced by its own process only") {
  Desk one;
  one.add_rules();
  const auto port = one.desk.match(to(192, 0, 2, 7), atm()).listener_port;
  ProgramSocket socket;
  CHECK(one.desk.announce(announce(socket), atm()).error().code == EACCES);  // not connected
  REQUIRE(socket.connect(port));
  auto stranger = atm();
  ++stranger.effective_uid;
  CHECK(one.desk.announce(announce(socket), stranger).error().code == EACCES);
  auto request = announce(socket);
  ++request.socket_inode;
  CHECK(one.desk.announce(request, atm()).error().code == EACCES);
  CHECK(one.desk.announce(announce(socket, "OTHER"), atm()).error().code == EACCES);
  CHECK(one.desk.announce(announce(socket, "NONE"), atm()).error().code == ENOENT);

  const auto reply = one.desk.announce(announce(socket), atm());
  REQUIRE(reply);
  shm::StreamStart start;
  start.ticket = reply->ticket;
  REQUIRE(socket.send(start));
  pollfd news{.fd = one.desk.descriptor(), .events = POLLIN, .revents = 0};
  REQUIRE(::poll(&news, 1, 20'000) == 1);
  const auto started = one.desk.take_started();
  REQUIRE(started.size() == 1);
  CHECK(started[0].announcement.upstream == "HOST");
  CHECK(started[0].announcement.may_relay);
}

TEST_CASE("wrapper.what one user announces is bounded") {
  Desk one;
  one.add_rules();
  const auto port = one.desk.match(to(192, 0, 2, 7), atm()).listener_port;
  ProgramSocket socket;
  REQUIRE(socket.connect(port));
  // Where the same socket is announced again, the one before is over; but nobody has looked yet.
  for (std::uint32_t i = 0; i < WrapperDesk::kSocketsMax / 2; ++i) {
    REQUIRE(one.desk.announce(announce(socket), atm()));
  }
  CHECK(one.desk.announce(announce(socket), atm()).error().code == EAGAIN);
  auto another = atm();
  // Nor do some users together keep the next one out.
  for (auto left = WrapperDesk::kSocketsMax / 4; left > 0; left /= 2) {
    ++another.uid;
    for (std::uint32_t i = 0; i < left; ++i) REQUIRE(one.desk.announce(announce(socket), another));
    CHECK(one.desk.announce(announce(socket), another).error().code == EAGAIN);
  }
  while (!one.desk.announce(announce(socket), atm())) {
    pollfd news{.fd = one.desk.descriptor(), .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&news, 1, 20'000) == 1);
    CHECK(one.desk.take_started().empty());
  }
}
