// How long `tlsmux drain` and `tlsmux refresh` wait for an engine.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <string>
#include <utility>

#include "client/cli/drain.hpp"
#include "client/cli/engine_patience.hpp"
#include "client/cli/exit_code.hpp"
#include "client/cli/refresh.hpp"
#include "client/monotonic_clock.hpp"
#include "shm/group_part.hpp"
#include "shm/segment.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/client/held_lock.hpp"
#include "tests/support/fake_engine.hpp"
#include "tests/system/command.hpp"

using namespace tlsmux;
using namespace tlsmux::test;
namespace cli = tlsmux::client::cli;

namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;

// The last thing the fake engine's data loop has said.
std::uint64_t beat_of(const cli::EnginePatience& patience) {
  REQUIRE(patience.groups().size() == 1);
  return patience.groups().front().view.header().heartbeat_ns.load();
}

}  // namespace

TEST_CASE("client.patience with an engine ends only without signs of life") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ForkedEngine engine(options);
  const auto start = static_cast<std::uint64_t>(client::now_ns());
  cli::EnginePatience patience(options.control_socket, start);
  auto verdict = patience.look(start);
  CHECK(verdict.is_alive);
  CHECK(verdict.waits_on);
  CHECK(verdict.words.empty());

  const auto beat = beat_of(patience);
  const auto look_after = [&](std::uint64_t seconds) { return patience.look(start + seconds * kSecondNs); };
  const auto pid = std::to_string(patience.groups().front().view.header().engine_pid);
  const auto silent = [&](std::uint64_t seconds) {
    return "the engine (pid " + pid + ") does not answer; its data loop has not moved for " +
           std::to_string((start + seconds * kSecondNs - beat) / kSecondNs) + " s";
  };
  verdict = look_after(9);
  CHECK_FALSE(verdict.is_alive);
  CHECK(verdict.words.empty());
  CHECK(look_after(10).words == silent(10));
  CHECK(look_after(11).words.empty());
  CHECK(look_after(20).words == silent(20));
  CHECK(look_after(59).waits_on);
  verdict = look_after(60);
  CHECK_FALSE(verdict.waits_on);
  CHECK_MESSAGE(verdict.words.starts_with(silent(60) + "; waited for 60 s, and no longer"), verdict.words);
}

TEST_CASE("client.patience with an engine whose data loop moves has no end") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ForkedEngine engine(options);
  const auto object = shm::open_group_object(options.group);
  REQUIRE(object.has_value());
  const shm::UniqueFd writable(::open(("/proc/self/fd/" + std::to_string(object->get())).c_str(), O_RDWR | O_CLOEXEC));
  REQUIRE(writable);
  const auto start = static_cast<std::uint64_t>(client::now_ns());
  cli::EnginePatience patience(options.control_socket, start);
  REQUIRE(patience.look(start).is_alive);
  for (std::uint64_t hour = 1; hour < 24; ++hour) {
    const auto now = start + hour * 3600 * kSecondNs;
    REQUIRE(::pwrite(writable.get(), &now, sizeof now, offsetof(shm::GroupHeader, heartbeat_ns)) == sizeof now);
    const auto verdict = patience.look(now + 2 * kSecondNs);
    CHECK(verdict.is_alive);
    CHECK(verdict.waits_on);
    CHECK(verdict.words.empty());
  }
}

TEST_CASE("client.patience finds the tables of an engine that hung before it was asked by its locks") {
  const FakeEngineNames names;
  auto options = names.options();
  options.flaw = Flaw::silent;
  const ForkedEngine engine(options);
  const auto object = shm::open_group_object(options.group);
  REQUIRE(object.has_value());
  const auto mapping = shm::Mapping::map(object->get(), sizeof(shm::GroupHeader), shm::Access::read_only);
  REQUIRE(mapping.has_value());
  const auto engine_pid = reinterpret_cast<const shm::GroupHeader*>(mapping->bytes().data())->engine_pid;
  const HeldLock lock(options.group);
  const auto start = static_cast<std::uint64_t>(client::now_ns());
  cli::EnginePatience patience(options.control_socket, start);
  for (const auto& [pid, found] : {std::pair(static_cast<std::uint32_t>(::getpid()), 0U), std::pair(engine_pid, 1U)}) {
    lock.name_holder(pid);
    CHECK(patience.look(start).waits_on);
    CHECK(patience.groups().size() == found);
  }
  CHECK(
      patience.look(start + 10 * kSecondNs).words.starts_with("the engine (pid " + std::to_string(engine_pid) + ") "));
}

TEST_CASE("client.patience with an engine that nothing is known of says so") {
  const FakeEngineNames names;
  const auto options = names.options();  // and nobody listens
  const auto start = static_cast<std::uint64_t>(client::now_ns());
  cli::EnginePatience patience(options.control_socket, start);
  CHECK(patience.look(start).waits_on);
  CHECK(patience.look(start + 10 * kSecondNs).words == "the engine does not answer");
  CHECK_FALSE(patience.look(start + 60 * kSecondNs).waits_on);
}

TEST_CASE("client.drain and refresh of an engine that never answers end") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ForkedEngine engine(options);
  const cli::PatienceLimits none{.said_every = std::chrono::seconds(0), .ends_after = std::chrono::seconds(0)};
  CHECK(cli::run_drain({.upstream = "HOST", .control_socket = options.control_socket, .patience = none}) ==
        cli::kExitNoEngine);
  CHECK(cli::run_refresh({.control_socket = options.control_socket, .patience = none}) == cli::kExitNoEngine);
}

TEST_CASE("client.drain counts all sessions that are open") {
  cli::GroupStatus group;
  auto& upstream = group.upstreams.emplace_back();
  upstream.name = "acquirer";
  upstream.draining = true;
  upstream.in_flight = 3;
  upstream.sessions_ready = 0;
  const auto add = [&](const char* state) { upstream.sessions.emplace_back().state = state; };
  add("draining");
  add("backing_off");
  CHECK(cli::drain_progress(group, "acquirer") == "acquirer drains: 3 in flight, 0 waiting, 1 session open");
  add("ready");
  CHECK(cli::drain_progress(group, "acquirer") == "acquirer drains: 3 in flight, 0 waiting, 2 sessions open");
  CHECK(cli::drain_progress(group, "other").empty());
}

TEST_CASE("client.drain says nothing of progress before the engine has taken the order, or out of old tables") {
  cli::GroupStatus group;
  auto& upstream = group.upstreams.emplace_back();
  upstream.name = "acquirer";
  CHECK(cli::drain_progress(group, "acquirer").empty());
  upstream.draining = true;
  group.engine.heartbeat_age_ns = 3 * kSecondNs;
  CHECK_FALSE(cli::drain_progress(group, "acquirer").empty());
  group.engine.heartbeat_age_ns += 1;
  CHECK(cli::drain_progress(group, "acquirer").empty());
}

TEST_CASE("client.status shows what an engine that hangs said last, and how old that is") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ForkedEngine engine(options);
  engine.signal(SIGSTOP);
  const auto socket = " --control-socket " + options.control_socket;
  const auto text = run_tlsmux("status --group " + options.group + socket).text;
  CHECK_MESSAGE(text.contains(", last said: running, started "), text);
  CHECK_MESSAGE(text.contains("WARNING: by these tables its data loop last moved "), text);
  CHECK_MESSAGE(text.contains(", stopped by a signal\n"), text);
  CHECK(
      run_tlsmux("status" + socket).text ==
      "tlsmux status: no answer on the control socket: is tlsmuxd running? Name a group (--group) to see what the last "
      "engine may have left\n");
}
