#include "engine/workers/resolver.hpp"

#include <doctest/doctest.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <latch>
#include <stdexcept>

#include "engine/workers/workers.hpp"
#include "tests/engine/mailbox_wait.hpp"
#include "tests/engine/scripted_session.hpp"

using namespace tlsmux;
using engine::lookup_by_system;
using engine::Mailbox;
using engine::ResolveJob;
using engine::Resolver;
using engine::ResolveResult;
using engine::WorkerResult;
using engine::mux::Address;
using engine::mux::parse_literal;

namespace {

using Addresses = std::expected<std::vector<Address>, std::string>;

Addresses loopback(const std::string&, std::uint16_t port) { return std::vector{*parse_literal("127.0.0.1", port)}; }

ResolveJob job_of(std::uint32_t index, std::uint32_t generation, std::string host, std::uint16_t port = 9001) {
  return {.session = {.index = index, .generation = generation}, .host = std::move(host), .port = port};
}

}  // namespace

TEST_CASE("engine.resolver posts the addresses of each name") {
  Mailbox<WorkerResult> results;
  Resolver resolver(results, loopback);
  for (std::uint32_t i = 0; i < 20; ++i) {
    resolver.submit(job_of(i, 5, "host" + std::to_string(i), static_cast<std::uint16_t>(9000 + i)));
  }
  std::array<int, 20> seen{};
  for (auto& value : test::take_count(results, 20)) {
    const auto& result = std::get<ResolveResult>(value);
    ++seen.at(result.session.index);
    CHECK(result.session.generation == 5);
    REQUIRE(result.addresses.has_value());
    REQUIRE(result.addresses->size() == 1);
    CHECK(result.addresses->front().text() == "127.0.0.1:" + std::to_string(9000 + result.session.index));
  }
  for (const int times : seen) CHECK(times == 1);
}

TEST_CASE("engine.resolver gives the reason when there is no address") {
  Mailbox<WorkerResult> results;
  Resolver resolver(results, [](const std::string& host, std::uint16_t) -> Addresses {
    if (host == "throws") throw std::runtime_error("out of something");
    return std::unexpected("no such name");
  });
  resolver.submit(job_of(0, 0, "absent"));
  resolver.submit(job_of(1, 0, "throws"));
  for (auto& value : test::take_count(results, 2)) {
    const auto& result = std::get<ResolveResult>(value);
    REQUIRE(!result.addresses.has_value());
    CHECK(result.addresses.error() == (result.session.index == 0 ? "no such name" : "out of something"));
  }
}

TEST_CASE("engine.resolver keeps one waiting job for a session and one lookup for a name") {
  std::latch begun(1);
  std::latch go_on(1);
  std::vector<std::string> looked_up;  // by the one thread
  Mailbox<WorkerResult> results;
  Resolver resolver(results, [&](const std::string& host, std::uint16_t port) -> Addresses {
    looked_up.push_back(host + ":" + std::to_string(port));
    if (host == "slow") {
      begun.count_down();
      go_on.wait();
    }
    return loopback(host, port);
  });
  resolver.submit(job_of(0, 1, "slow"));
  begun.wait();
  resolver.submit(job_of(1, 1, "given-up"));
  resolver.submit(job_of(2, 1, "shared"));
  resolver.submit(job_of(3, 1, "other"));
  resolver.submit(job_of(1, 2, "shared"));
  resolver.submit(job_of(4, 1, "shared", 9002));
  go_on.count_down();
  std::vector<engine::mux::SessionId> answered;
  for (auto& value : test::take_count(results, 5)) answered.push_back(std::get<ResolveResult>(value).session);
  CHECK(looked_up == std::vector<std::string>{"slow:9001", "shared:9001", "other:9001", "shared:9002"});
  CHECK(answered == std::vector<engine::mux::SessionId>{{0, 1}, {2, 1}, {1, 2}, {3, 1}, {4, 1}});
}

TEST_CASE("engine.resolver that is stuck holds up neither handshakes nor the end") {
  std::latch begun(1);
  std::latch go_on(1);
  std::latch thread_gone(1);
  Mailbox<WorkerResult> results;
  {
    engine::Workers workers(results, 1);
    // Destroyed with the lookup, which the resolver's thread drops last of all.
    const std::shared_ptr<void> token(&thread_gone, [](void* latch) { static_cast<std::latch*>(latch)->count_down(); });
    Resolver resolver(results, [&, token](const std::string& host, std::uint16_t port) -> Addresses {
      begun.count_down();
      go_on.wait();
      return loopback(host, port);
    });
    resolver.submit(job_of(0, 0, "silent"));
    resolver.submit(job_of(1, 0, "never begun"));
    begun.wait();
    auto session =
        std::make_unique<test::ScriptedSession>([](auto, auto&) { return engine::tls::HandshakeState::done; });
    REQUIRE(workers.submit({.session = {}, .tls = std::move(session), .received = {}}));
    const auto values = test::take_count(results, 1);
    CHECK(std::holds_alternative<engine::HandshakeResult>(values.front()));
  }
  // Both are gone while the lookup still hangs. Its result goes nowhere.
  go_on.count_down();
  thread_gone.wait();
  CHECK(results.take().empty());
}

TEST_CASE("engine.resolver drops jobs and ends at once when it is idle or was never used") {
  Mailbox<WorkerResult> results;
  {
    const Resolver unused(results, loopback);
  }
  {
    Resolver used(results, loopback);
    used.submit(job_of(0, 0, "host"));
    test::take_count(results, 1);
  }
  CHECK(results.take().empty());
}

TEST_CASE("engine.resolver is a thread named tmx-resolver") {
  std::array<char, 16> name{};
  Mailbox<WorkerResult> results;
  Resolver resolver(results, [&](const std::string& host, std::uint16_t port) {
    ::pthread_getname_np(::pthread_self(), name.data(), name.size());
    return loopback(host, port);
  });
  resolver.submit(job_of(0, 0, "host"));
  test::take_count(results, 1);
  CHECK(std::string(name.data()) == "tmx-resolver");
}

TEST_CASE("engine.lookup by the system finds localhost and refuses what is no name") {
  const auto local = lookup_by_system("localhost", 9001);
  REQUIRE(local.has_value());
  for (const auto& address : *local) {
    const auto text = address.text();
    CHECK_MESSAGE((text.starts_with("127.") || text == "[::1]:9001"), text);
  }
  // A label of 64 characters is one too long (RFC 1035 section 2.3.4): no name server is asked.
  const auto absent = lookup_by_system(std::string(64, 'x') + ".invalid", 9001);
  REQUIRE(!absent.has_value());
  CHECK(!absent.error().empty());
}

TEST_CASE("engine.lookup by the system reads literals that have an interface") {
  const auto address = lookup_by_system("fe80::1%lo", 9001);
  REQUIRE(address.has_value());
  REQUIRE(address->size() == 1);
  CHECK(address->front().scope != 0);
  CHECK(address->front().text().starts_with("[fe80::1%"));
}
