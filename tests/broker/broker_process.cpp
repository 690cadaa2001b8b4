#include "tests/broker/broker_process.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <filesystem>

#include <doctest/doctest.h>

#include "engine/broker/broker.hpp"
#include "engine/broker/broker_client.hpp"

namespace tlsmux::test {
namespace {

int run(const config::Config& config, const engine::EngineMain& engine_main, const std::function<bool()>& prepare,
        const std::string& path, shm::UniqueFd log) {
  if (::dup2(log.get(), STDERR_FILENO) < 0 || !prepare()) return 125;
  log.reset();
  return engine::broker::run_broker(config, path, engine_main);
}

}  // namespace

int serve_until_told(const config::Config& config, engine::EngineResources resources) {
  engine::broker::BrokerClient broker(resources.broker_socket.get());
  const auto listener = broker.open_listener();
  if (!listener) return 10;
  for (std::uint32_t group = 0; group < config.groups.size(); ++group) {
    if (!broker.create_group_object({.index = group}, 4096)) return 11;
  }
  if (!broker.report_serving()) return 12;
  wait_for_order(resources);
  return engine::kExitClean;
}

void wait_for_order(const engine::EngineResources& resources) {
  sigset_t wanted;
  ::sigemptyset(&wanted);
  ::sigaddset(&wanted, SIGTERM);
  const shm::UniqueFd signals(::signalfd(-1, &wanted, SFD_CLOEXEC));
  std::array<pollfd, 2> waits{{{.fd = signals.get(), .events = POLLIN, .revents = 0},
                               {.fd = resources.broker_socket.get(), .events = POLLIN, .revents = 0}}};
  while (::poll(waits.data(), waits.size(), -1) < 0) continue;
}

config::Config broker_config(const TemporaryFolder& folder) {
  config::Config config;
  config.engine.control_socket = folder.path() + "/control.sock";
  config.engine.drain_timeout_ms = 100;
  config.engine.log.level = config::LogLevel::debug;
  config.groups.resize(1);
  config.groups[0].name = unique_group();
  config.groups[0].users = {"root"};
  return config;
}

BrokerProcess::BrokerProcess(const config::Config& config, const engine::EngineMain& engine_main,
                             const std::function<bool()>& prepare, const std::string& path)
    : process_([&, this] { return run(config, engine_main, prepare, path, log_.take_writing_end()); }) {
  log_.take_writing_end().reset();
}

pid_t BrokerProcess::engine_pid() {
  const auto text = value_in(log_.wait_for("event=engine_started"), "pid");
  pid_t pid = 0;
  std::from_chars(text.data(), text.data() + text.size(), pid);
  REQUIRE(pid > 0);
  return pid;
}

int BrokerProcess::stop() {
  process_.send_signal(SIGTERM);
  return process_.wait();
}

std::size_t residue(const std::string& group) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    if (entry.path().filename().string().find(group) != std::string::npos) ++count;
  }
  return count;
}

bool can_connect(const std::string& path) {
  const shm::UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace tlsmux::test
