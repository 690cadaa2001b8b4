// Upstreams that come and go while the engine runs and clients stay attached.

#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "tests/faults/rig.hpp"
#include "tests/system/command.hpp"

namespace tlsmux::test {
namespace {

// Applies it.
CommandResult change_over(const Rig& rig, const config::Config& config) {
  const auto path = rig.folder.path() + "/" + rig.group() + ".json";
  std::filesystem::remove(path);
  REQUIRE(rig.folder.add(rig.group() + ".json", config_text(config), 0644) == path);
  return run_tlsmux("refresh --control-socket " + rig.config.engine.control_socket);
}

// One attachment for as long as the test, with channels as it goes.
class Client {
 public:
  explicit Client(const config::Config& config) {
    const auto options = attach_options(config);
    REQUIRE(tmx_attach(&options, &client_) == 0);
  }
  ~Client() { tmx_detach(client_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  int open(const std::string& upstream, tmx_channel*& channel) {
    return tmx_channel_open(client_, upstream.c_str(), &channel);
  }

 private:
  tmx_client* client_ = nullptr;
};

tmx_result ask(tmx_channel* channel, const std::string& message) {
  std::string answer(message.size() + 1, '\0');
  tmx_result result{};
  REQUIRE(tmx_call(channel, message.data(), static_cast<std::uint32_t>(message.size()), answer.data(),
                   static_cast<std::uint32_t>(answer.size()), 0, &result) == 0);
  return result;
}

}  // namespace

TEST_CASE("outcome.refresh adds an upstream that an attached client uses without attaching again, and removes it") {
  Rig rig({"--mode", "echo"});
  const host::HostProcess other({"--mode", "echo", "--message-bytes-max", "65535"});
  rig.engine().await_sessions(1);
  Client client(rig.config);
  tmx_channel* first = nullptr;
  tmx_channel* second = nullptr;
  REQUIRE(client.open("acquirer", first) == 0);
  CHECK(client.open("second", second) == -ENOENT);

  auto changed = rig.config;
  auto added = changed.upstreams[0];
  added.name = "second";
  added.endpoints[0].port = other.port();
  // Before the other in the file: places in the file mean nothing.
  changed.upstreams.insert(changed.upstreams.begin(), added);
  auto done = change_over(rig, changed);
  CHECK_MESSAGE(done.exit_code == 0, done.text);
  CHECK(done.text ==
        "upstream \"second\" added (at once)\n1 change, which can be applied to a running engine\napplied\n");
  REQUIRE(client.open("second", second) == 0);
  const auto before = rig.received();
  CHECK(ask(second, "to the other host").outcome == TMX_ANSWERED);
  CHECK(rig.received() == before);
  CHECK(ask(first, "to the first host").outcome == TMX_ANSWERED);
  CHECK(rig.received() == before + 1);
  await([&] { return upstream_facts(rig.group(), "second").answered == 1; });
  CHECK(change_over(rig, changed).text == "nothing changes\n");

  // Settings of the one that was added change like those of others.
  changed.upstreams[0].queue_max = 7;
  CHECK(change_over(rig, changed).text.starts_with("upstream \"second\": queue_max 4096 -> 7 (at once)\n"));

  changed.upstreams.erase(changed.upstreams.begin());
  done = change_over(rig, changed);
  CHECK_MESSAGE(done.text.starts_with("upstream \"second\" removed (at once)\n"), done.text);
  const auto refused = ask(second, "too late");
  CHECK(refused.outcome == TMX_NOT_SENT);
  CHECK(refused.reason == TMX_REASON_UPSTREAM_REMOVED);
  await([&] { return group_facts(rig.group()).upstreams.size() == 1; });
  CHECK(ask(first, "still there").outcome == TMX_ANSWERED);
  tmx_channel* third = nullptr;
  CHECK(client.open("second", third) == -ENOENT);

  // The name may come back; it is another upstream then.
  changed.upstreams.push_back(added);
  CHECK(change_over(rig, changed).exit_code == 0);
  REQUIRE(client.open("second", third) == 0);
  CHECK(ask(third, "once more").outcome == TMX_ANSWERED);
  CHECK(ask(second, "of the one that is gone").reason == TMX_REASON_UPSTREAM_REMOVED);
  for (auto* channel : {first, second, third}) tmx_channel_discard(channel);
  rig.stop();
}

TEST_CASE("outcome.refresh that removes an upstream lets requests in flight end") {
  Rig rig({"--mode", "echo", "--delay-us", "300000"});
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  REQUIRE(requester.submit("on its way", 1) == 0);
  rig.await_received(1);
  auto changed = rig.config;
  changed.upstreams.clear();
  changed.upstreams.push_back(rig.config.upstreams[0]);
  changed.upstreams[0].name = "another";
  const auto done = change_over(rig, changed);
  CHECK_MESSAGE(done.exit_code == 0, done.text);
  const auto ended = requester.take_one();
  CHECK(ended.outcome == TMX_ANSWERED);
  CHECK(requester.ask("later").reason == TMX_REASON_UPSTREAM_REMOVED);
  rig.stop();
}

TEST_CASE("outcome.refresh gives and takes a group's right to use an upstream") {
  Rig rig({"--mode", "echo"}, [](config::Config& config) {
    config.groups.push_back(config.groups[0]);
    config.groups[1].name = unique_group();
  });
  rig.engine().await_sessions(1);
  auto changed = rig.config;
  changed.upstreams[0].groups = {rig.config.groups[1].name, rig.config.groups[0].name};
  CHECK(change_over(rig, changed).exit_code == 0);
  Requester other(rig.config, rig.config.groups[1].name);
  CHECK(other.ask("now allowed").outcome == TMX_ANSWERED);
  CHECK(change_over(rig, rig.config).exit_code == 0);
  CHECK(other.ask("not any more").reason == TMX_REASON_UPSTREAM_REMOVED);
  Requester first(rig.config);
  CHECK(first.ask("as ever").outcome == TMX_ANSWERED);
  rig.stop();
}

TEST_CASE("outcome.refresh says when there is no room for what is added") {
  Rig rig({"--mode", "echo"});
  auto changed = rig.config;
  auto added = changed.upstreams[0];
  added.name = "second";
  added.sessions_max = 32;
  changed.upstreams.push_back(added);
  const auto done = change_over(rig, changed);
  CHECK(done.exit_code == 1);
  CHECK_MESSAGE(done.text.starts_with("upstream \"second\" added (needs a restart: the engine has room for 32 more "
                                      "sessions, it needs 33 (one more than sessions_max); see /upstreams/1)\n"),
                done.text);
  rig.stop();
}

TEST_CASE("outcome.refresh says what the engine was not started with room for, and nothing changes") {
  constexpr std::uint32_t kLength16Max = 65535;
  Rig rig({"--mode", "echo"}, [](config::Config& config) {
    config.groups[0].memory.slot_bytes = kLength16Max;
    config.upstreams[0].sessions_max = 2;
  });
  rig.engine().await_sessions(1);
  const auto refused = [&](const auto& change) {
    auto changed = rig.config;
    change(changed.upstreams);
    const auto done = change_over(rig, changed);
    CHECK(done.exit_code == 1);
    return done.text;
  };
  const auto refused_addition = [&](const auto& change) {
    return refused([&](auto& upstreams) {
      auto added = upstreams[0];
      added.name = "second";
      change(added);
      upstreams.push_back(added);
    });
  };

  auto text = refused([](auto& upstreams) { upstreams[0].sessions_max = 3; });
  CHECK_MESSAGE(text.starts_with("upstream \"acquirer\": sessions_max 2 -> 3 (needs a restart: the engine was started "
                                 "with room for 2 sessions of this upstream; see /upstreams/0/sessions_max)\n"),
                text);
  text = refused([](auto& upstreams) { set_keyed(upstreams[0]); });
  CHECK_MESSAGE(
      text.contains("correlation.length 0 -> 16 (needs a restart: its messages need larger private copies than "
                    "those that the engine was started for; see /upstreams/0/correlation/length)\n"),
      text);
  text = refused_addition([](auto& added) { set_keyed(added); });
  CHECK_MESSAGE(text.starts_with("upstream \"second\" added (needs a restart: its messages need larger private copies "
                                 "than those of the upstreams that the engine was started with; see /upstreams/1)\n"),
                text);
  text = refused_addition([](auto& added) { added.framing.message_bytes_max = kLength16Max; });
  CHECK_MESSAGE(text.starts_with("upstream \"second\" added (needs a restart: its framing.message_bytes_max is larger "
                                 "than what spare sessions have memory for; see /upstreams/1)\n"),
                text);

  CHECK(change_over(rig, rig.config).text == "nothing changes\n");
  Requester requester(rig.config);
  CHECK(requester.ask("as before").outcome == TMX_ANSWERED);
  rig.stop();
}

TEST_CASE("outcome.refresh starts an upstream anew with another framing, over channels that stay open") {
  Rig rig({"--mode", "echo", "--delay-us", "1500000"});
  const host::HostProcess other({"--mode", "echo", "--framing", "length32", "--message-bytes-max", "65535"});
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  REQUIRE(requester.submit("with the old framing", 1) == 0);
  rig.await_received(1);
  auto changed = rig.config;
  changed.upstreams[0].framing.length_bytes = 4;
  changed.upstreams[0].endpoints[0].port = other.port();
  const auto done = change_over(rig, changed);
  CHECK_MESSAGE(done.exit_code == 0, done.text);
  CHECK(done.text.find("framing.length_bytes 2 -> 4 (the upstream is drained and started anew)\n") !=
        std::string::npos);
  CHECK(requester.ask("meanwhile").reason == TMX_REASON_UPSTREAM_DRAINING);
  const auto ended = requester.take_one();
  CHECK(ended.tag == 1);
  CHECK(ended.outcome == TMX_ANSWERED);
  await([&] { return requester.ask("with the new framing").outcome == TMX_ANSWERED; });
  CHECK(rig.received() == 1);
  rig.stop();
}

}  // namespace tlsmux::test
