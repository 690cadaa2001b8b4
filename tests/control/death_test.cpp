// Clients that die or go at every step: nothing of them is left.

#include <unistd.h>

#include <array>
#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/control/control_client.hpp"
#include "tests/control/server_process.hpp"

using namespace tlsmux;
using test::ControlClient;
using test::ServerProcess;

namespace {

// One place only: whoever leaves a residue keeps the next one out.
constexpr config::MemorySettings kOneClient{
    .clients_max = 1, .channels_per_client = 1, .slots_per_channel = 2, .slot_bytes = 64};

struct Step {
  std::string name;
  std::function<bool(ControlClient&, const std::string& group)> run;
};

// Each step with all before it.
const std::vector<Step> kSteps{
    {"connected", [](ControlClient& client, const std::string&) { return client.connected(); }},
    {"asked", [](ControlClient& client, const std::string& group) { return client.send_attach(group); }},
    {"given its memory",
     [](ControlClient& client, const std::string& group) { return client.begin_attach(group).has_value(); }},
    {"mapped",
     [](ControlClient& client, const std::string& group) {
       const auto offer = client.begin_attach(group);
       return offer && test::map_segment(*offer) && client.send(shm::MappedNotice{});
     }},
    {"served", [](ControlClient& client, const std::string& group) { return client.attach(group).has_value(); }},
    {"opening a channel",
     [](ControlClient& client, const std::string& group) {
       return client.attach(group) && client.send_open_channel("acquirer");
     }},
    {"mapped, and opening a channel at once",
     [](ControlClient& client, const std::string& group) {
       const auto offer = client.begin_attach(group);
       return offer && test::map_segment(*offer) && client.send(shm::MappedNotice{}) &&
              client.send_open_channel("acquirer");
     }},
    {"waiting for a channel",
     [](ControlClient& client, const std::string& group) {
       return client.attach(group) && client.send_open_channel("silent");
     }},
    {"having a channel",
     [](ControlClient& client, const std::string& group) {
       return client.attach(group) && client.send_open_channel("acquirer") &&
              client.receive_as<shm::OpenChannelReply>();
     }},
};

}  // namespace

TEST_CASE("engine.client killed at any step of attaching leaves nothing") {
  ServerProcess server({.memory = kOneClient});
  const auto before = test::descriptor_count(server.pid());
  for (const auto& step : kSteps) {
    CAPTURE(step.name);
    test::ChildProcess client([&] {
      ControlClient control(server.path());
      if (!step.run(control, server.group())) return 1;
      ::kill(::getpid(), SIGKILL);
      return 2;
    });
    CHECK(client.wait() == 128 + SIGKILL);
    server.log().wait_for("event=connection_closed");
    CHECK(test::descriptor_count(server.pid()) == before);
    ControlClient next(server.path());
    CHECK(next.attach(server.group()));
    next.close();
    server.log().wait_for("event=connection_closed");
  }
  CHECK(server.stop() == 0);
}

TEST_CASE("engine.client that goes at any step of attaching leaves nothing") {
  ServerProcess server({.memory = kOneClient});
  const auto before = test::descriptor_count(server.pid());
  for (const auto& step : kSteps) {
    CAPTURE(step.name);
    ControlClient client(server.path());
    CHECK(step.run(client, server.group()));
    client.close();
    server.log().wait_for("event=connection_closed");
    CHECK(test::descriptor_count(server.pid()) == before);
  }
  CHECK(server.stop() == 0);
}

TEST_CASE("engine.client death is noticed though a child holds its socket") {
  ServerProcess server({.memory = kOneClient});
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const shm::UniqueFd reading(ends[0]);
  shm::UniqueFd writing(ends[1]);
  std::array<int, 2> pids{};
  REQUIRE(::pipe(pids.data()) == 0);
  const shm::UniqueFd pid_reading(pids[0]);
  const shm::UniqueFd pid_writing(pids[1]);
  test::ChildProcess client([&] {
    writing.reset();
    ControlClient control(server.path());
    if (!control.attach(server.group())) return 1;
    const pid_t heir = ::fork();
    if (heir == 0) {
      char byte = 0;
      [[maybe_unused]] const auto ended = ::read(reading.get(), &byte, 1);
      ::_exit(control.connected() ? 0 : 1);
    }
    if (::write(pid_writing.get(), &heir, sizeof heir) != sizeof heir) return 2;
    ::kill(::getpid(), SIGKILL);
    return 3;
  });
  CHECK(client.wait() == 128 + SIGKILL);
  server.log().wait_for("event=client_died");
  server.log().wait_for("event=client_released");
  pid_t heir = 0;
  REQUIRE(::read(pid_reading.get(), &heir, sizeof heir) == sizeof heir);
  CHECK(::kill(heir, 0) == 0);
  writing.reset();
  CHECK(test::wait_for_end(heir));
  ControlClient next(server.path());
  CHECK(next.attach(server.group()));
}

TEST_CASE("engine.client that is gone has died in the log only if it has said no goodbye") {
  struct LastWords {
    bool are_goodbye = true;
    const char* upstream = "";  // of a channel that it asks for before; "silent": nothing is answered
    bool lists_groups = false;  // before, too: the answer finds nobody
  };
  const auto cases = std::to_array<LastWords>({{},
                                               {.upstream = "silent"},
                                               {.lists_groups = true},
                                               {.are_goodbye = false},
                                               {.are_goodbye = false, .upstream = "silent"},
                                               {.are_goodbye = false, .lists_groups = true}});
  for (const auto& last : cases) {
    CAPTURE(last.are_goodbye);
    CAPTURE(std::string(last.upstream));
    CAPTURE(last.lists_groups);
    ServerProcess server({.memory = kOneClient});
    test::ChildProcess client([&] {
      ControlClient control(server.path());
      if (!control.attach(server.group())) return 1;
      server.send_signal(SIGSTOP);  // it hears of the goodbye, the closed socket and the end at one time
      if (*last.upstream != '\0' && !control.send_open_channel(last.upstream)) return 2;
      if (last.lists_groups && !control.send(shm::ListGroupsRequest{})) return 3;
      return last.are_goodbye && !control.send(shm::GoodbyeNotice{}) ? 4 : 0;
    });
    CHECK(client.wait() == 0);
    server.send_signal(SIGCONT);
    server.log().wait_for("event=client_attached");
    const auto next_event = [&] { return test::value_in(server.log().wait_for("event=client_"), "event"); };
    CHECK(next_event() == (last.are_goodbye ? "client_disconnected" : "client_died"));
    CHECK(next_event() == "client_released");
  }
}

TEST_CASE("engine.client closing its socket has left though it lives") {
  ServerProcess server({.memory = kOneClient});
  ControlClient client(server.path());
  REQUIRE(client.attach(server.group()));
  client.close();
  server.log().wait_for("event=client_disconnected");
  server.log().wait_for("event=client_released");
  ControlClient again(server.path());
  CHECK(again.attach(server.group()));
}
