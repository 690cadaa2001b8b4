// How streams of real processes end: with their engine, their host, their configuration.

#include <doctest/doctest.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <thread>

#include "tests/broker/process.hpp"
#include "tests/host/host_process.hpp"
#include "tests/streams/real_stream.hpp"
#include "tests/system/command.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {

TEST_CASE("stream.those of an upstream that a refresh removes end with a reason") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--mode", "echo"});
  auto config = engine_config(folder, {host.port()});
  auto second = config.upstreams[0];
  second.name = "second";
  config.upstreams.push_back(second);
  EngineProcess engine(folder, config);
  engine.await_sessions(2);
  {
    auto of_second = config;
    of_second.upstreams.erase(of_second.upstreams.begin());
    const RealStream stays(config);
    const RealStream goes(of_second);
    REQUIRE(stays.error() == 0);
    REQUIRE(goes.error() == 0);
    auto without = config;
    without.upstreams.pop_back();
    const auto name = config.groups[0].name + ".json";
    REQUIRE(std::filesystem::remove(folder.path(name)));
    static_cast<void>(folder.add(name, config_text(without), 0644));
    const auto refreshed = run_tlsmux("refresh --control-socket " + config.engine.control_socket);
    CHECK_MESSAGE(refreshed.exit_code == 0, refreshed.text);
    CHECK(goes.try_read() == -ECONNRESET);
    CHECK(tmx_stream_reason(goes.get(), nullptr, nullptr, 0) == TMX_REASON_UPSTREAM_REMOVED);
    REQUIRE(stays.write(framed("still here")));
    CHECK(stays.read_message() == "still here");
  }
  CHECK(engine.stop() == 0);
  CHECK(host.stop() == 0);
}

TEST_CASE("stream.those of an engine that stops end with a reason") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--mode", "echo"});
  const auto config = engine_config(folder, {host.port()});
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  {
    const RealStream stream(config);
    REQUIRE(stream.error() == 0);
    CHECK(engine.stop() == 0);
    CHECK(stream.try_read() == -ECONNRESET);
    int maybe_sent = 1;
    CHECK(tmx_stream_reason(stream.get(), &maybe_sent, nullptr, 0) == TMX_REASON_ENGINE_DRAINING);
    CHECK(maybe_sent == 0);
    CHECK(RealStream(config).error() == -ECONNREFUSED);
  }
  CHECK(host.stop() == 0);
}

TEST_CASE("stream.an engine that dies under a stream is told from an end that somebody has said") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--mode", "echo"});
  const auto config = engine_config(folder, {host.port()});
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  {
    const RealStream stream(config);
    REQUIRE(stream.error() == 0);
    REQUIRE(stream.write(framed("one")));
    CHECK(stream.read_message() == "one");
    ssize_t result = 0;
    std::jthread reader([&] { result = stream.try_read(); });
    engine.kill_engine();
    reader.join();
    CHECK(result == -EPIPE);
    CHECK(tmx_stream_reason(stream.get(), nullptr, nullptr, 0) == TMX_REASON_ENGINE_DIED);
    CHECK_FALSE(stream.write("x"));
    const RealStream next(config);
    REQUIRE(next.error() == 0);
    REQUIRE(next.write(framed("two")));
    CHECK(next.read_message() == "two");
  }
  CHECK(engine.stop() == 0);
  CHECK(host.stop() == 0);
}

TEST_CASE("stream.a host that goes away before it has answered ends the stream with a reason") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--mode", "echo", "--close-after", "2"});
  const auto config = engine_config(folder, {host.port()});
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  {
    const RealStream stream(config);
    REQUIRE(stream.error() == 0);
    REQUIRE(stream.write(framed("one")));
    CHECK(stream.read_message() == "one");
    REQUIRE(stream.write(framed("two") + framed("three")));
    CHECK(stream.try_read() == -ECONNRESET);
    int maybe_sent = 0;
    CHECK(tmx_stream_reason(stream.get(), &maybe_sent, nullptr, 0) != TMX_REASON_NONE);
    CHECK(maybe_sent == 1);
  }
  CHECK(engine.stop() == 0);
  CHECK(host.stop() == 0);
}

TEST_CASE("stream.who is no member gets none") {
  if (skip_without_root("another user is needed")) return;
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--mode", "echo"});
  const auto config = engine_config(folder, {host.port()});
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  ChildProcess stranger([&config] {
    if (!become_user(kNobody)) return 1;
    return RealStream(config).error() == -EACCES ? 0 : 2;
  });
  CHECK(stranger.wait() == 0);
  auto unknown = config;
  unknown.upstreams[0].name = "nobody";
  CHECK(RealStream(unknown).error() == -ENOENT);
  CHECK(engine.stop() == 0);
  CHECK(host.stop() == 0);
}

TEST_CASE("stream.a leased session goes from process to process without another handshake") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--mode", "echo"});
  auto config = engine_config(folder, {host.port()});
  config.upstreams[0].streams.kind = config::StreamKind::leased;
  config.upstreams[0].streams.idle_max_ms = 0;
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  for (int i = 0; i < 20; ++i) {
    ChildProcess process([&config, i] {
      const RealStream stream(config);
      const auto message = "of process " + std::to_string(i);
      return stream.error() == 0 && stream.write(framed(message)) && stream.read_message() == message ? 0 : 1;
    });
    REQUIRE(process.wait() == 0);
  }
  CHECK(engine.log().count("event=session_ready") == 1);
  // One that dies within a message takes its session with it.
  ChildProcess dying([&config] {
    const RealStream stream(config);
    return stream.error() == 0 && stream.write(framed("never whole").substr(0, 5)) ? 0 : 1;
  });
  REQUIRE(dying.wait() == 0);
  engine.await_sessions(2);
  {
    const RealStream stream(config);
    REQUIRE(stream.error() == 0);
    REQUIRE(stream.write(framed("clean")));
    CHECK(stream.read_message() == "clean");
  }
  CHECK(engine.stop() == 0);
  CHECK(host.stop() == 0);
}

}  // namespace tlsmux::test
