#include "tests/programs/program_scene.hpp"

#include <unistd.h>

#include <filesystem>
#include <tuple>
#include <utility>

#include <doctest/doctest.h>

#include "tests/host/host_process.hpp"
#include "tests/support/skip.hpp"
#include "tests/system/command.hpp"
#include "tests/system/engine_config.hpp"

namespace tlsmux::test {
namespace {

std::string replaced(std::string text, const std::string& name, const std::string& value) {
  for (auto at = text.find(name); at != std::string::npos; at = text.find(name)) text.replace(at, name.size(), value);
  return text;
}

}  // namespace

std::string client(const std::string& name) { return TLSMUX_PROGRAM_CLIENTS "/" + name; }

Program client_program(const std::string& command, const std::string& name) {
  return {.command = {command, client(name), "$HOST", "$PORT", "$AUTHORITY"}};
}

bool skip_without(const std::string& file, const std::string& package) {
  if (::access(file.c_str(), R_OK) == 0) return false;
  skip("this machine has no " + file + " (Debian: " + package + ")");
  return true;
}

ProgramScene::ProgramScene(std::uint16_t port, const Change& change) : config_(engine_config(folder_, {port})) {
  change(config_.upstreams[0]);
  engine_ = std::make_unique<EngineProcess>(folder_, config_);
  engine_->await_sessions(config_.upstreams[0].sessions);
}

ProgramScene::~ProgramScene() { CHECK(engine_->stop() == 0); }

void ProgramScene::share(RuleKind kind) {
  kind_ = kind;
  const auto& upstream = config_.upstreams[0];
  config::SslWrapperRule rule;
  rule.port = upstream.endpoints[0].port;
  rule.upstream = upstream.name;
  (kind == RuleKind::by_address ? rule.address : rule.name) = kind == RuleKind::by_address ? "127.0.0.1" : "localhost";
  config_.ssl_wrapper.rules = {rule};
  const auto file = config_.groups[0].name + ".json";
  std::filesystem::remove(folder_.path(file));
  std::ignore = folder_.add(file, config_text(config_), 0644);
  const auto refreshed = run_tlsmux("refresh --control-socket " + config_.engine.control_socket);
  REQUIRE_MESSAGE(refreshed.exit_code == 0, refreshed.text);
}

ScriptRun ProgramScene::run_unshared(const Program& program) const {
  auto done = run(program, {});
  REQUIRE_MESSAGE(done.exit_code == 0, done.errors);
  REQUIRE_FALSE(done.output.empty());
  return done;
}

ScriptRun ProgramScene::run_shared(const Program& program) const {
  return run(program, {"LD_PRELOAD=" TLSMUX_SSL_LIBRARY, "TLSMUX_CONTROL_SOCKET=" + config_.engine.control_socket});
}

ScriptRun ProgramScene::run(const Program& program, const std::vector<std::string>& environment) const {
  auto command = program.command;
  for (auto& word : command) {
    word = replaced(word, "$HOST", kind_ == RuleKind::by_address ? "127.0.0.1" : "localhost");
    word = replaced(word, "$PORT", std::to_string(config_.upstreams[0].endpoints[0].port));
    word = replaced(word, "$AUTHORITY", host::certificate_file("ca.pem"));
  }
  auto done = test::run(command, environment, gate_, program.input);
  if (program.constant_part) done.output = program.constant_part(done.output);
  return done;
}

void ProgramScene::check_same(const Program& program, const ScriptRun& unshared) const {
  const auto shared = run_shared(program);
  CHECK(shared.exit_code == unshared.exit_code);
  CHECK(shared.output == unshared.output);
  CHECK(shared.errors == unshared.errors);
}

}  // namespace tlsmux::test
