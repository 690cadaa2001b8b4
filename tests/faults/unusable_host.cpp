#include "tests/faults/unusable_host.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include <doctest/doctest.h>

#include "shm/outcome.hpp"
#include "tests/system/await.hpp"
#include "tests/system/group_status.hpp"
#include "tests/system/requester.hpp"

namespace tlsmux::test {
namespace {

shm::UniqueFd open_socket() {
  shm::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  REQUIRE(socket);
  return socket;
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

}  // namespace

ClosedPort::ClosedPort() : socket_(open_socket()) {
  auto address = loopback(0);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  REQUIRE(::bind(descriptor(), generic, size) == 0);
  REQUIRE(::getsockname(descriptor(), generic, &size) == 0);
  port_ = ntohs(address.sin_port);
}

BlackHole::BlackHole() {
  REQUIRE(::listen(descriptor(), 0) == 0);
  const auto address = loopback(port());
  for (int i = 0; i < 64; ++i) {
    auto& one = queued_.emplace_back(open_socket());
    const int begun = ::connect(one.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    REQUIRE((begun == 0 || errno == EINPROGRESS));
    pollfd wanted{.fd = one.get(), .events = POLLOUT, .revents = 0};
    // On the loopback a connect is over at once, unless the kernel drops it.
    if (::poll(&wanted, 1, 50) == 0) return;
  }
  FAIL("the queue of a listener does not fill");
}

void check_not_sent(EngineProcess& engine, const config::Config& config, tmx_reason reason, std::string_view words) {
  const auto wanted = static_cast<shm::Reason>(reason);
  const auto& group = config.groups[0].name;
  Requester requester(config);
  for (int i = 0; i < 2; ++i) {  // while the first attempt is made, and after it has failed
    const auto ended = requester.ask("a request");
    CHECK(ended.outcome == TMX_NOT_SENT);
    CHECK(std::string(tmx_reason_name(ended.reason)) == tmx_reason_name(reason));
  }
  await([&] { return requester.upstream_error().find(words) != std::string::npos; });

  UpstreamFacts facts;
  await([&] {
    facts = upstream_facts(group, config.upstreams[0].name);
    return count_of(facts.not_sent, wanted) == 2;
  });
  CHECK(facts.last_error_reason == wanted);
  CHECK_MESSAGE(facts.last_error.find(words) != std::string::npos, facts.last_error);
  CHECK(facts.sessions_ready == 0);
  CHECK(facts.answered == 0);
  CHECK(sum(facts.not_sent) == 2);
  CHECK(sum(facts.maybe_sent) == 0);

  const auto shown = status_json(config);
  for (const auto& part :
       {R"("last_error_reason": ")" + std::string(tmx_reason_name(reason)) + '"',
        '"' + std::string(tmx_reason_name(reason)) + "\": 2", std::string(R"("sessions_ready": 0)")}) {
    CHECK_MESSAGE(shown.find(part) != std::string::npos, shown);
  }

  const auto line = engine.log().wait_for("event=session_failed");
  CHECK_MESSAGE(line.find("reason=" + std::string(shm::reason_name(wanted))) != std::string::npos, line);
  CHECK_MESSAGE(line.find(words) != std::string::npos, line);
}

}  // namespace tlsmux::test
