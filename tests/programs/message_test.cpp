// Python's ssl to an upstream whose framing cuts messages: many processes on one session at once.

#include <future>
#include <vector>

#include <doctest/doctest.h>

#include "tests/host/host_process.hpp"
#include "tests/programs/program_scene.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr int kTogether = 8;
const std::string kPython = "/usr/bin/python3";

// As a program expects who asks one thing after the other.
void set_messages(config::UpstreamSettings& upstream) {
  set_keyed(upstream);
  upstream.streams.order = config::StreamOrder::as_asked;
}

Program messages_of(const std::string& name) {
  auto program = client_program(kPython, "messages.py");
  program.command.push_back(name);
  return program;
}

}  // namespace

TEST_CASE("wrapper.Python's ssl, one process after the other and many at once, on one session of messages") {
  if (skip_without(kPython, "python3")) return;
  const Residue residue;
  host::HostProcess host({"--mode", "echo", "--jitter-us", "2000", "--out-of-order"});
  ProgramScene scene(host.port(), set_messages);
  std::uint64_t own = 0;
  for (const auto kind : kRuleKinds) {
    CAPTURE(kind == RuleKind::by_address);
    scene.share(kind);
    std::vector<Program> programs;
    std::vector<ScriptRun> unshared;
    for (int i = 0; i < kTogether; ++i) {
      programs.push_back(messages_of("process " + std::to_string(i)));
      unshared.push_back(scene.run_unshared(programs.back()));
      CHECK_FALSE(unshared.back().output.contains("False"));
      ++own;
    }
    scene.check_same(programs[0], unshared[0]);
    std::vector<std::future<ScriptRun>> running;
    for (const auto& program : programs) {
      running.push_back(std::async(std::launch::async, [&] { return scene.run_shared(program); }));
    }
    for (int i = 0; i < kTogether; ++i) {
      const auto shared = running[i].get();
      CHECK(shared.exit_code == 0);
      CHECK(shared.output == unshared[i].output);
      CHECK(shared.errors.empty());
    }
    CHECK(host.report().count("handshakes_full") == own + 1);
  }
  CHECK(scene.sessions() == 1);
}

TEST_CASE("wrapper.threads with one SSL each, and forks among them, on one session of messages") {
  if (skip_without(kPython, "python3")) return;
  const Residue residue;
  host::HostProcess host({"--mode", "echo", "--jitter-us", "2000", "--out-of-order"});
  ProgramScene scene(host.port(), set_messages);
  const auto program = client_program(kPython, "threads.py");
  for (const auto kind : kRuleKinds) {
    CAPTURE(kind == RuleKind::by_address);
    scene.share(kind);
    const auto shared = scene.run_shared(program);
    CHECK(shared.output == "[]\n");
    CHECK(shared.errors.empty());
  }
  CHECK(host.report().count("handshakes_full") == 1);
}

TEST_CASE("wrapper.a certificate that Python does not trust") {
  if (skip_without(kPython, "python3")) return;
  const Residue residue;
  host::HostProcess host({"--mode", "echo"});
  ProgramScene scene(host.port(), set_messages);
  scene.share(RuleKind::by_address);
  const auto program = client_program(kPython, "refused.py");
  const auto unshared = scene.run_unshared(program);
  CHECK(unshared.output.contains("CERTIFICATE_VERIFY_FAILED"));
  scene.check_same(program, unshared);
}

TEST_CASE("wrapper.a program that is a server") {
  if (skip_without(kPython, "python3")) return;
  const Residue residue;
  host::HostProcess host({"--mode", "echo"});
  ProgramScene scene(host.port(), set_messages);
  scene.share(RuleKind::by_name);
  const Program program{.command = {kPython, client("serve.py"), host::certificate_file("server.pem"),
                                    host::certificate_file("server.key"), "$AUTHORITY"}};
  scene.check_same(program, scene.run_unshared(program));
}

}  // namespace tlsmux::test
