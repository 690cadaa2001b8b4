// The example of the README, as it is built.
#include <array>
#include <cstdio>
#include <cstdlib>

#include "tests/client/client_fixture.hpp"

using namespace tlsmux::test;

namespace {

struct Printed {
  std::string text;
  int exit_code = -1;
};

Printed run(const FakeEngineOptions& engine, const std::string& arguments,
            const std::string& program = TLSMUX_EXAMPLE) {
  const auto command = "TLSMUX_GROUP=" + engine.group + " TLSMUX_CONTROL_SOCKET=" + engine.control_socket + " " +
                       program + " " + arguments + " 2>&1";
  Printed printed;
  FILE* output = ::popen(command.c_str(), "r");
  REQUIRE(output != nullptr);
  std::array<char, 256> line{};
  while (std::fgets(line.data(), line.size(), output) != nullptr) printed.text += line.data();
  printed.exit_code = WEXITSTATUS(::pclose(output));
  return printed;
}

}  // namespace

TEST_CASE("client.the example tells the three outcomes apart") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ForkedEngine engine(options);
  const auto answered = run(options, "HOST 'A hello'");
  CHECK(answered.text == "ANSWERED A hello\n");
  CHECK(answered.exit_code == 0);
  CHECK(run(options, "HOST R").text == "NOT_SENT the queue or the in-flight limit is full; try again later\n");
  CHECK(run(options, "HOST L").text == "MAYBE_SENT the host closed the session before it answered\n");
}

TEST_CASE("client.the example says what is wrong") {
  const FakeEngineNames names;
  const auto options = names.options();
  const auto no_engine = run(options, "HOST A");
  CHECK(no_engine.text == "attach: no engine listens on " + options.control_socket + ": is tlsmuxd running?\n");
  CHECK(no_engine.exit_code == 1);
  auto no_group = options;
  no_group.group.clear();
  CHECK(run(no_group, "HOST A").text == "attach: no group: give one, or set TLSMUX_GROUP\n");
  const ForkedEngine engine(options);
  CHECK(run(options, "NOWHERE A").text == "open: no such group, upstream or request\n");
}

TEST_CASE("client.the subscriber example answers the host and names late answers and orphans") {
  const FakeEngineNames names;
  auto options = names.options();
  options.notices = {"U0800", "Ylate", "OL request"};
  ThreadEngine engine(options);
  const auto printed = run(options, "HOST 3", TLSMUX_SUBSCRIBER_EXAMPLE);
  CHECK(printed.exit_code == 0);
  CHECK(printed.text.contains("the host sent 4 bytes: echoed\n"));
  CHECK(printed.text.contains("reply: "));
  CHECK(printed.text.contains("late answer of 4 bytes to request 4711\n"));
  CHECK(printed.text.contains("orphan of 10 bytes: MAYBE_SENT client_died\n"));
}
