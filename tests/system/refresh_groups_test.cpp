// Groups that come and go while the engine runs and clients of others are at work.

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "engine/broker/group_lock.hpp"
#include "tests/faults/rig.hpp"
#include "tests/system/command.hpp"
#include "tests/system/ledger.hpp"
#include "tests/system/load_process.hpp"

namespace tlsmux::test {
namespace {

void write_config(const Rig& rig, const config::Config& config) {
  const auto path = rig.folder.path() + "/" + rig.group() + ".json";
  std::filesystem::remove(path);
  REQUIRE(rig.folder.add(rig.group() + ".json", config_text(config), 0644) == path);
}

CommandResult refresh(const Rig& rig, const std::string& arguments = {}) {
  return run_tlsmux("refresh --control-socket " + rig.config.engine.control_socket + " " + arguments);
}

CommandResult change_over(const Rig& rig, const config::Config& config) {
  write_config(rig, config);
  return refresh(rig);
}

// The rig's configuration and one more group.
config::Config with_group(const config::Config& config, const std::string& name) {
  auto changed = config;
  changed.groups.push_back(config.groups[0]);
  changed.groups.back().name = name;
  return changed;
}

// And an upstream for it, to the host at this port.
config::Config with_group_and_upstream(const config::Config& config, const std::string& group, std::uint16_t port) {
  auto changed = with_group(config, group);
  changed.upstreams.push_back(config.upstreams[0]);
  auto& upstream = changed.upstreams.back();
  upstream.name = "second";
  upstream.groups = {group};
  upstream.endpoints[0].port = port;
  return changed;
}

// Whether it is in /dev/shm, as the group's object or its lock.
bool has_object(const std::string& group) { return std::filesystem::exists("/dev/shm/tlsmux." + group); }
bool has_lock(const std::string& group) { return std::filesystem::exists("/dev/shm/tlsmux." + group + ".lock"); }

int attach_error(const config::Config& config, const std::string& group) {
  auto options = attach_options(config);
  options.group = group.c_str();
  options.timeout_ms = 100;
  tmx_client* client = nullptr;
  const int error = tmx_attach(&options, &client);
  if (error == 0) tmx_detach(client);
  return error;
}

}  // namespace

TEST_CASE("outcome.refresh adds a group with an upstream and removes it, and clients of others notice nothing") {
  Rig rig({"--mode", "echo"}, [](config::Config& config) { set_keyed(config.upstreams[0]); });
  const host::HostProcess other({"--mode", "echo", "--message-bytes-max", "65535"});
  rig.engine().await_sessions(1);
  const StopSign stop;
  auto order = load_order(rig.config, 1);
  order.stop = stop.descriptor();
  order.ledger = rig.folder.path() + "/ledger";
  LoadProcess load(order);

  const auto added = unique_group();
  const auto changed = with_group_and_upstream(rig.config, added, other.port());
  write_config(rig, changed);
  auto done = refresh(rig, "--dry-run");
  CHECK(done.exit_code == 0);
  CHECK(done.text == "group \"" + added +
                         "\" added (at once)\nupstream \"second\" added (at once)\n"
                         "2 changes, all of which can be applied to a running engine\n"
                         "dry run: nothing was applied\n");
  CHECK(!has_object(added));
  CHECK(!has_lock(added));
  CHECK(attach_error(rig.config, added) == -ENOENT);

  for (int round = 0; round < 2; ++round) {
    CAPTURE(round);
    done = change_over(rig, changed);
    CHECK_MESSAGE(done.exit_code == 0, done.text);
    CHECK(has_object(added));
    CHECK(has_lock(added));
    {
      Requester requester(changed, added, "second");
      CHECK(requester.ask("in the new group").outcome == TMX_ANSWERED);
      await([&] { return upstream_facts(added, "second").answered == 1; });
      CHECK(group_facts(added).state == shm::EngineState::running);
      CHECK(group_facts(added).clients.size() == 1);
      CHECK(run_tlsmux("status --control-socket " + rig.config.engine.control_socket).text.find(added) !=
            std::string::npos);

      done = change_over(rig, rig.config);
      CHECK_MESSAGE(done.text.starts_with("group \"" + added +
                                          "\" removed, its clients are detached and its orphans dropped (at once)\n"),
                    done.text);
      CHECK(done.exit_code == 0);
      rig.engine().log().wait_for("event=client_detached", static_cast<std::size_t>(round) + 1);
      rig.engine().log().wait_for("was removed from the engine's configuration", static_cast<std::size_t>(round) + 1);
    }
    CHECK(!has_object(added));
    CHECK(!has_lock(added));
    CHECK(attach_error(rig.config, added) == -ENOENT);
    CHECK(run_tlsmux("status --control-socket " + rig.config.engine.control_socket).text.find(added) ==
          std::string::npos);
  }

  // The lock is free, although the engine that had it lives.
  auto elsewhere = engine_config(rig.folder, {other.port()});
  elsewhere.groups[0].name = added;
  elsewhere.upstreams[0].groups = {added};
  elsewhere.engine.control_socket = rig.folder.path() + "/elsewhere.sock";
  {
    EngineProcess second(rig.folder, elsewhere);
    second.await_sessions(1);
    // And while that one serves the group, this one must not: not even in part.
    done = change_over(rig, changed);
    CHECK(done.exit_code == 1);
    CHECK_MESSAGE(
        done.text.find("/groups/1: group " + added + " is served by a live engine (pid ") != std::string::npos,
        done.text);
    Requester requester(elsewhere);
    CHECK(requester.ask("of the second engine").outcome == TMX_ANSWERED);
    CHECK(has_object(added));
    CHECK(second.stop() == 0);
  }

  stop.raise();
  const auto report = load.report();
  CHECK_MESSAGE(report.answered == report.submitted, words_of(report));
  CHECK(report.refused_submissions == 0);
  for (const auto& each : contradictions(read_ledgers({order.ledger}), rig.receipts())) FAIL_CHECK(each);
  CHECK(rig.engine().log().count("event=session_ready") == 3);  // one, and two of "second"
  rig.stop();
}

TEST_CASE("outcome.refresh that removes a group ends what its clients have open, and tells them why") {
  Rig rig({"--silent-after", "0"}, [](config::Config& config) {
    config = with_group(config, unique_group());
    config.upstreams[0].groups.push_back(config.groups[1].name);
    config.upstreams[0].in_flight_max = 1;
  });
  rig.engine().await_sessions(1);
  const auto& group = rig.config.groups[1].name;
  auto changed = rig.config;
  changed.groups.pop_back();
  changed.upstreams[0].groups.pop_back();
  {
    auto options = attach_options(rig.config);
    options.group = group.c_str();
    tmx_client* client = nullptr;
    REQUIRE(tmx_attach(&options, &client) == 0);
    tmx_channel* channel = nullptr;
    REQUIRE(tmx_channel_open(client, "acquirer", &channel) == 0);
    for (std::uint64_t tag = 1; tag <= 2; ++tag) {
      tmx_buffer buffer{};
      REQUIRE(tmx_reserve(channel, &buffer) == 0);
      static_cast<char*>(buffer.data)[0] = 'x';
      REQUIRE(tmx_submit(channel, &buffer, 1, tag, 60'000) == 0);
    }
    rig.await_received(1);
    await([&] { return upstream_facts(group, "acquirer").queued == 1; });

    const auto done = change_over(rig, changed);
    CHECK_MESSAGE(done.exit_code == 0, done.text);
    std::vector<Ended> ended;
    await([&] {
      tmx_completion completion{};
      while (tmx_poll(channel, &completion, 1, 0) == 1) {
        ended.push_back(
            {.tag = completion.tag, .outcome = completion.outcome, .reason = completion.reason, .answer = {}});
        REQUIRE(tmx_release(channel, &completion) == 0);
      }
      return ended.size() == 2;
    });
    for (const auto& one : ended) {
      CHECK(one.outcome == (one.tag == 1 ? TMX_MAYBE_SENT : TMX_NOT_SENT));
      CHECK(one.reason == TMX_REASON_DETACHED);
    }
    rig.engine().log().wait_for("group " + group + " was removed from the engine's configuration");
    tmx_channel_discard(channel);
    tmx_detach(client);
  }
  // What was in flight keeps its place until the answer comes or its time is over; then others have theirs.
  Requester requester(changed);
  REQUIRE(requester.submit("waits", 1, 60'000) == 0);
  CHECK(rig.received() == 1);
  rig.stop();
}

TEST_CASE("outcome.refresh that removes a group drops its orphans, and says how many") {
  Rig rig({"--silent-after", "0"}, [](config::Config& config) {
    config = with_group(config, unique_group());
    config.upstreams[0].groups.push_back(config.groups[1].name);
  });
  rig.engine().await_sessions(1);
  auto order = load_order(rig.config, 1);
  order.group = rig.config.groups[1].name;
  order.in_flight_max = 3;
  LoadProcess load(order);
  rig.await_received(3);
  load.kill();
  rig.engine().log().wait_for("event=client_released");
  auto changed = rig.config;
  changed.groups.pop_back();
  changed.upstreams[0].groups.pop_back();
  CHECK(change_over(rig, changed).exit_code == 0);
  rig.engine().log().wait_for("event=orphans_dropped");
  rig.engine().log().wait_for("why=\"the group was removed from the configuration\" orphans=3");
  rig.stop();
}

TEST_CASE("outcome.refresh: an engine that is restarted has the groups that were added, and not those removed") {
  Rig rig({"--mode", "echo"});
  rig.engine().await_sessions(1);
  const auto first = rig.group();
  const auto added = unique_group();
  auto changed = with_group(rig.config, added);
  changed.upstreams[0].groups = {added};
  changed.groups.erase(changed.groups.begin());
  auto done = change_over(rig, changed);
  REQUIRE_MESSAGE(done.exit_code == 0, done.text);
  CHECK(!has_object(first));
  CHECK(!has_lock(first));
  {
    Requester requester(changed);
    CHECK(requester.ask("of the one engine").outcome == TMX_ANSWERED);
    rig.engine().kill_engine();
    await([&] { return requester.ask("of the next one").outcome == TMX_ANSWERED; });
  }
  CHECK(attach_error(rig.config, first) == -ENOENT);
  CHECK(!has_object(first));
  // A dead broker cannot remove anything: the engine does, and the lock file that is left can be taken over.
  rig.engine().kill_broker();
  CHECK(!has_object(added));
  CHECK(engine::broker::GroupLock::take(added));
}

}  // namespace tlsmux::test
