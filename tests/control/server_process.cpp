#include "tests/control/server_process.hpp"

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <map>
#include <thread>
#include <utility>

#include <doctest/doctest.h>

#include "engine/broker/control_listener.hpp"
#include "engine/control/control_server.hpp"
#include "shm/pidfd.hpp"

namespace tlsmux::test {
namespace {

using namespace engine;

class FakeShard {
 public:
  Mailbox<ShardCommand> commands;
  Mailbox<ShardReply> replies;

  // Until it has been told to drain.
  void run() {
    pollfd wanted{.fd = commands.descriptor(), .events = POLLIN, .revents = 0};
    while (!drained_ && ::poll(&wanted, 1, -1) >= 0) {
      for (auto& command : commands.take()) {
        // Each is gone, with its descriptors, before the next is answered.
        std::visit([this](auto& it) { execute(std::move(it)); }, command);
      }
    }
  }

 private:
  struct Client {
    shm::Mapping memory;
    std::vector<shm::UniqueFd> wakes;
  };

  void execute(const GrantTraceNumbers& /*command*/) {}
  void execute(const ApplyConfig& /*command*/) { replies.post(ConfigApplied{}); }

  void execute(const DrainUpstream& command) {
    if (command.upstream != "silent") {
      replies.post(UpstreamDrained{.asker = command.asker, .requests_left = command.timeout_ms});
    }
  }

  void execute(const ResumeUpstream& command) {
    replies.post(UpstreamDrained{.asker = command.asker, .error = ENOENT, .error_text = "no such upstream"});
  }

  void execute(AdmitClient command) {
    command.memory.bytes().back() = std::byte{1};
    clients_[command.id] = {.memory = std::move(command.memory), .wakes = {}};
  }

  void execute(OpenChannel command) {
    auto& client = clients_.at(command.client);
    client.memory.bytes().back() = std::byte{2};
    if (command.upstream == "silent") return;
    if (command.upstream == "offend") {
      return replies.post(ClientOffended{.client = command.client, .rule = "it offended"});
    }
    if (command.upstream != "acquirer") {
      return replies.post(ChannelOpened{.client = command.client, .error = ENOENT, .error_text = "no such upstream"});
    }
    client.wakes.push_back(std::move(command.wake));
    const std::uint64_t one = 1;
    CHECK(::write(client.wakes.back().get(), &one, sizeof one) == sizeof one);
    replies.post(ChannelOpened{.client = command.client,
                               .error = 0,
                               .error_text = {},
                               .channel = static_cast<std::uint32_t>(client.wakes.size() - 1),
                               .upstream_row = 3,
                               .shard = 0,
                               .message_bytes_max = 99,
                               .timeout_ms = 1234});
  }

  void execute(CloseChannel command) {
    const bool known = command.channel == 0;
    replies.post(
        ChannelClosed{.client = command.client, .error = known ? 0 : EBUSY, .error_text = known ? "" : "in flight"});
  }

  void execute(DismissClient command) {
    clients_.erase(command.client);
    replies.post(ClientReleased{.client = command.client});
  }

  void execute(Drain /*command*/) {
    drained_ = true;
    replies.post(Drained{.requests_left = 5});
  }

  std::map<ClientId, Client> clients_;
  bool drained_ = false;
};

control::ControlSettings make_settings(const ServerOptions& options, const std::string& group, int listener) {
  control::ControlSettings settings;
  settings.listener.reset(::dup(listener));
  settings.boot_id = {1, 2, 3};
  settings.engine_pid = static_cast<std::uint32_t>(::getpid());
  settings.engine_pidfd = shm::open_pidfd(::getpid());
  settings.observers = options.observers;
  settings.drain_timeout_ms = 100;
  for (const auto& name : {group, std::string("OTHER")}) {
    auto object = shm::create_group_object(name, kGroupBytes);
    auto readable = shm::open_group_object(name);
    shm::remove_group_object(name);
    if (!object || !readable) std::_Exit(124);
    settings.groups.push_back({.name = name,
                               .membership = name == group ? options.members : config::Membership{},
                               .memory = options.memory,
                               .object = std::move(*readable),
                               .object_bytes = kGroupBytes});
  }
  return settings;
}

}  // namespace

ServerProcess::ServerProcess(const ServerOptions& options)
    : path_(folder_.path() + "/control.sock"),
      group_(unique_group()),
      broker_socket_([this] {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
        engine_socket_ = shm::UniqueFd(ends[1]);
        return ends[0];
      }()),
      process_([&, this] { return run(options); }) {
  engine_socket_.reset();
  log_.take_writing_end().reset();
  log_.wait_for("event=test_server_open");
}

int ServerProcess::run(const ServerOptions& options) {
  broker_socket_.reset();
  sigset_t blocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
  if (options.descriptors_max != 0) {
    const rlimit limit{.rlim_cur = options.descriptors_max, .rlim_max = options.descriptors_max};
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 123;
  }
  Log log(config::LogLevel::debug, log_.take_writing_end(), Log::Mode::asynchronous);
  const auto listener = broker::ControlListener::create(path_);
  if (!listener) return 122;
  auto settings = make_settings(options, group_, listener->descriptor());
  settings.broker_socket = engine_socket_.get();

  FakeShard shard;
  control::ControlServer server(std::move(settings), {{.commands = &shard.commands, .replies = &shard.replies}}, log);
  if (!server.open()) return 121;
  std::thread data_loop([&] { shard.run(); });
  log.info("test_server_open");
  const auto requests_left = server.run();
  data_loop.join();
  return requests_left == 5 ? 0 : 120;
}

int ServerProcess::stop() {
  process_.send_signal(SIGTERM);
  return process_.wait();
}

}  // namespace tlsmux::test
