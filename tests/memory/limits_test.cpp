// Limits at the start, and of clients and groups.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "engine/broker/engine_resources.hpp"
#include "engine/broker/resource_limits.hpp"
#include "tests/broker/log_pipe.hpp"
#include "tests/confinement/forbidden_call.hpp"
#include "tests/confinement/sanitizer.hpp"
#include "tests/control/control_client.hpp"
#include "tests/host/host_process.hpp"
#include "tests/memory/process_memory.hpp"
#include "tests/system/await.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/requester.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

// From now on the kernel has no such registration with a ring, for this process and what it executes.
bool forbid_registration(std::uint32_t operation) {
  constexpr std::uint32_t kOperationOffset = offsetof(seccomp_data, args) + sizeof(std::uint64_t);  // its low half
  std::array code{sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                  sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_register, 0, 3),
                  sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kOperationOffset),
                  sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, operation, 0, 1),
                  sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
                  sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  return enter_filter(code);
}

// The one message with which an engine ends that cannot have its ring.
void check_refusal(const std::function<bool()>& prepare, const std::string& words) {
  const Residue residue;
  const TemporaryFolder folder;
  const auto config = engine_config(folder, {1});
  EngineProcess engine(folder, config, {.prepare = prepare, .wait_until_serving = false});
  const auto line = engine.log().wait_for("event=engine_cannot_start");
  CHECK_MESSAGE(line.find(words) != std::string::npos, line);
  CHECK_MESSAGE(line.find("landlock") == std::string::npos, line);
  CHECK(engine.wait() == engine::kExitCannotStart);
  CHECK(engine.log().count("event=engine_cannot_start") == 1);
  CHECK(engine.log().count("event=engine_restarted") == 0);
}

// tlsmuxd as a user of its own who may have so many threads and processes.
struct Crowd {
  std::string line;  // the engine's last word, if it was any
  bool serves = false;
};

Crowd start_with_threads(rlim_t threads_max) {
  const Residue residue;
  const TemporaryFolder folder;
  const auto uid = user_of_this_process();
  REQUIRE(::chown(folder.path().c_str(), uid, uid) == 0);
  auto config = engine_config(folder, {1});
  config.upstreams[0].tls.ca_file = folder.add("ca.pem", host::read_file(host::certificate_file("ca.pem")), 0644);
  EngineProcess engine(folder, config,
                       {.prepare =
                            [&] {
                              const rlimit limit{.rlim_cur = threads_max, .rlim_max = threads_max};
                              return ::setrlimit(RLIMIT_NPROC, &limit) == 0 && become_user(uid);
                            },
                        .wait_until_serving = false});
  await([&] { return engine.log().count("event=engine_serving") + engine.log().count("event=stopped") > 0; });
  Crowd crowd{.line = {}, .serves = engine.log().count("event=engine_serving") > 0};
  if (crowd.serves) {
    CHECK(engine.stop() == engine::kExitClean);
  } else {
    CHECK(engine.wait() == engine::kExitCannotStart);
    for (const auto& last : engine.log().lines_with("event=engine_cannot_start")) crowd.line = last;
  }
  CHECK(engine.log().count("signal ") == 0);
  CHECK(engine.log().count("terminate") == 0);
  return crowd;
}

int check_command(const std::string& path, std::string& text) {
  const std::string command = std::string(TLSMUX_PROGRAM_FOLDER "/tlsmuxd --check ") + path + " 2>&1";
  FILE* const output = ::popen(command.c_str(), "re");
  REQUIRE(output != nullptr);
  std::array<char, 4096> part{};
  text.clear();
  for (std::size_t got = 1; got > 0;) {
    got = std::fread(part.data(), 1, part.size(), output);
    text.append(part.data(), got);
  }
  return WEXITSTATUS(::pclose(output));
}

}  // namespace

TEST_CASE("engine.io_uring that is forbidden or lacks something is one clear message") {
  constexpr std::uint32_t kRegisterBufferRing = 22;  // IORING_REGISTER_PBUF_RING, Linux 5.19
  check_refusal([] { return forbid_call(SYS_io_uring_setup, EPERM); }, "sysctl kernel.io_uring_disabled=0");
  check_refusal([] { return forbid_call(SYS_io_uring_setup, ENOSYS); }, "this kernel has no io_uring");
  check_refusal([] { return forbid_registration(kRegisterBufferRing); }, "Linux 6.1 or later is needed");
}

TEST_CASE("engine.too few open files are told at the start, with what to set") {
  if (skip_without_root("it sets a limit and gives up root")) return;
  const Residue residue;
  const TemporaryFolder folder;
  const auto uid = user_of_this_process();
  REQUIRE(::chown(folder.path().c_str(), uid, uid) == 0);
  const host::HostProcess host({"--mode", "echo"});
  auto config = engine_config(folder, {host.port()});
  config.upstreams[0].tls.ca_file = folder.add("ca.pem", host::read_file(host::certificate_file("ca.pem")), 0644);
  constexpr rlim_t kSoft = 512;
  constexpr rlim_t kHard = 1024;
  EngineProcess engine(folder, config, {.prepare = [uid] {
                         const rlimit limit{.rlim_cur = kSoft, .rlim_max = kHard};
                         return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 && become_user(uid);
                       }});
  const auto line = engine.log().wait_for("event=privilege_missing what=open_files");
  CHECK(value_in(line, "limit") == std::to_string(kHard));  // what may be had was taken
  CHECK(value_in(line, "wanted") == std::to_string(engine::broker::descriptors_needed(config)));
  CHECK_MESSAGE(line.find("LimitNOFILE=") != std::string::npos, line);
  Requester requester(config);
  CHECK(requester.ask("hello").outcome == TMX_ANSWERED);
  CHECK(engine.stop() == 0);
}

TEST_CASE(
    "engine.a group that has all its clients, and a client all its channels, are refused more and others are served") {
  const Residue residue;
  const TemporaryFolder folder;
  const host::HostProcess host({"--mode", "echo"});
  auto config = engine_config(folder, {host.port()});
  config.groups[0].memory.clients_max = 2;
  config.groups[0].memory.channels_per_client = 2;
  config.groups.push_back(config.groups[0]);
  config.groups[1].name = unique_group();
  config.upstreams[0].groups.push_back(config.groups[1].name);
  EngineProcess engine(folder, config);
  const auto before = descriptor_count(engine.engine_pid());

  const auto options = attach_options(config);
  std::array<tmx_client*, 2> clients{};
  for (auto& client : clients) REQUIRE(tmx_attach(&options, &client) == 0);
  ControlClient one_more(config.engine.control_socket);
  REQUIRE(one_more.send_attach(config.groups[0].name));
  std::string refusal;
  CHECK(one_more.receive_error(refusal) == EAGAIN);
  CHECK_MESSAGE(refusal.find("raise its memory/clients_max") != std::string::npos, refusal);
  one_more.close();

  std::vector<tmx_channel*> channels(4);
  for (std::size_t i = 0; i < channels.size(); ++i) {
    REQUIRE(tmx_channel_open(clients[i / 2], config.upstreams[0].name.c_str(), &channels[i]) == 0);
  }
  tmx_channel* third = nullptr;
  CHECK(tmx_channel_open(clients[0], config.upstreams[0].name.c_str(), &third) < 0);

  // By what SECURITY.md says of a client: the formula of resource_limits, without the memory that goes over.
  constexpr std::size_t kDescriptorsPerClient = 3 + 1 + 2;
  CHECK(descriptor_count(engine.engine_pid()) <= before + 2 * kDescriptorsPerClient + 1);  // and a session
  Requester of_the_other_group(config, config.groups[1].name);
  CHECK(of_the_other_group.ask("hello").outcome == TMX_ANSWERED);
  for (auto* const channel : channels) {
    std::array<char, 16> answer{};
    tmx_result result{};
    CHECK(tmx_call(channel, "hello", 5, answer.data(), answer.size(), 20'000, &result) == 0);
    CHECK(result.outcome == TMX_ANSWERED);
    CHECK(tmx_channel_close(channel) == 0);
  }
  for (auto* const client : clients) CHECK(tmx_detach(client) == 0);
  CHECK(engine.stop() == 0);
}

TEST_CASE("engine.a limit of threads that it meets at the start is one clear message") {
  if (skip_with_sanitizer() || skip_without_root("it becomes a user of its own")) return;
  CHECK_FALSE(start_with_threads(1).serves);  // no engine is forked
  rlim_t threads_max = 2;                     // the broker, and an engine without a log's thread
  for (auto crowd = start_with_threads(threads_max); !crowd.serves; crowd = start_with_threads(++threads_max)) {
    INFO(threads_max);
    REQUIRE(threads_max < 32);
    for (const auto* advice : {"TasksMax=", "--pids-limit", "ulimit -u"}) {
      CHECK_MESSAGE(crowd.line.find(advice) != std::string::npos, crowd.line);
    }
  }
  CHECK(threads_max >= 7);  // two main threads, the log's, and those that look up, work and serve
}

TEST_CASE("engine.a configuration file that others may change is refused, at the start and at a refresh") {
  const Residue residue;
  const TemporaryFolder folder;
  const host::HostProcess host({"--mode", "echo"});
  const auto config = engine_config(folder, {host.port()});
  EngineProcess engine(folder, config);
  const auto path = folder.path(config.groups[0].name + ".json");
  std::string text;
  CHECK(check_command(path, text) == engine::kExitClean);
  for (const mode_t mode : {0664U, 0646U}) {
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    CHECK(check_command(path, text) == engine::kExitConfig);
    CHECK_MESSAGE(text.find("type: chmod go-w " + path) != std::string::npos, text);
  }
  REQUIRE(::kill(engine.engine_pid(), SIGHUP) == 0);
  const auto line = engine.log().wait_for("chmod go-w " + path);
  CHECK_MESSAGE(line.find("has mode 0646") != std::string::npos, line);
  if (::geteuid() == 0) {
    REQUIRE(::chmod(path.c_str(), 0644) == 0);
    REQUIRE(::chown(path.c_str(), kNobody, kNobody) == 0);
    CHECK(check_command(path, text) == engine::kExitConfig);
    CHECK_MESSAGE(text.find("belongs to uid 65534") != std::string::npos, text);
    CHECK_MESSAGE(text.find("type: chown root " + path) != std::string::npos, text);
  }
  CHECK(engine.stop() == 0);
}

TEST_CASE("engine.a CA file that others may change is refused, at the start and at a refresh") {
  const Residue residue;
  const TemporaryFolder folder;
  const host::HostProcess host({"--mode", "echo"});
  auto config = engine_config(folder, {host.port()});
  const auto ca_file = folder.add("ca.pem", host::read_file(config.upstreams[0].tls.ca_file), 0644);
  config.upstreams[0].tls.ca_file = ca_file;
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  const auto path = folder.path(config.groups[0].name + ".json");
  std::string text;
  CHECK(check_command(path, text) == engine::kExitClean);
  REQUIRE(::chmod(ca_file.c_str(), 0666) == 0);
  CHECK(check_command(path, text) == engine::kExitConfig);
  const auto words =
      "/upstreams/0/tls/ca_file: \"" + ca_file + "\" has mode 0666, so that others may decide which hosts";
  CHECK_MESSAGE(text.find(words) != std::string::npos, text);
  REQUIRE(::kill(engine.engine_pid(), SIGHUP) == 0);
  const auto line = engine.log().wait_for("chmod go-w " + ca_file);
  CHECK_MESSAGE(line.find("has mode 0666") != std::string::npos, line);
  CHECK(engine.stop() == 0);
}

TEST_CASE("engine.a certificate of its own that has expired is a warning of tlsmuxd --check") {
  const TemporaryFolder folder;
  auto config = engine_config(folder, {443});
  config.upstreams[0].tls.certificate_file = host::certificate_file("expired.pem");
  config.upstreams[0].tls.key_file = host::certificate_file("expired.key");
  const auto path = folder.add("config.json", config_text(config), 0644);
  std::string text;
  CHECK(check_command(path, text) == engine::kExitClean);
  CHECK(text == path + ": warning: /upstreams/0/tls/certificate_file: \"" + config.upstreams[0].tls.certificate_file +
                    "\" expired on 2021-01-01 00:00 UTC: hosts that ask for a certificate reject it\n");
}

}  // namespace tlsmux::test
