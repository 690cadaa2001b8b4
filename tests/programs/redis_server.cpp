#include "tests/programs/redis_server.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <vector>

#include "tests/host/host_process.hpp"
#include "tests/system/eventually.hpp"
#include "tests/wrapper/loopback_listener.hpp"
#include "tests/wrapper/script_run.hpp"

namespace tlsmux::test {
namespace {

constexpr int kAttempts = 5;  // another process may take the port in the meantime

std::vector<std::string> command_of(std::uint16_t port, const TemporaryFolder& folder) {
  return {"/usr/bin/redis-server",
          "--port",
          "0",
          "--bind",
          "127.0.0.1",
          "--tls-port",
          std::to_string(port),
          "--tls-cert-file",
          host::certificate_file("server.pem"),
          "--tls-key-file",
          host::certificate_file("server.key"),
          "--tls-ca-cert-file",
          host::certificate_file("ca.pem"),
          "--tls-auth-clients",
          "no",
          "--save",
          "",
          "--appendonly",
          "no",
          "--dir",
          folder.path(),
          "--logfile",
          folder.path("log"),
          "--unixsocket",
          folder.path("socket")};
}

int become_redis(std::vector<std::string> command) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::vector<char*> pointers;
  for (auto& word : command) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execv(pointers[0], pointers.data());
  return 127;
}

bool has_ended(const ChildProcess& process) {
  siginfo_t ended{};
  return ::waitid(P_PID, static_cast<id_t>(process.pid()), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         ended.si_pid != 0;
}

}  // namespace

RedisServer::RedisServer() {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    port_ = LoopbackListener().port();
    const auto command = command_of(port_, folder_);
    process_ = std::make_unique<ChildProcess>([&] { return become_redis(command); });
    bool is_up = false;
    REQUIRE(eventually([&] { return (is_up = answer_to("PING") == "PONG\n") || has_ended(*process_); }));
    if (is_up) return;
  }
  FAIL("redis-server does not start: ", host::read_file(folder_.path("log")));
}

std::size_t RedisServer::handshakes() {
  const std::string text = answer_to("INFO");
  const std::string name = "total_connections_received:";
  const auto found = text.find(name);
  REQUIRE(found != std::string::npos);
  return std::stoul(text.substr(found + name.size())) - asked_;
}

std::string RedisServer::answer_to(const std::string& question) {
  const Gate unused;
  const auto answered = run({"/usr/bin/redis-cli", "-s", folder_.path("socket"), question}, {}, unused);
  if (answered.exit_code == 0) ++asked_;
  return answered.output;
}

}  // namespace tlsmux::test
