#include "tests/control/server_process.hpp"

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <deque>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include <doctest/doctest.h>

#include "engine/broker/control_listener.hpp"
#include "engine/control/control_server.hpp"
#include "engine/shard/status_board.hpp"
#include "engine/wrapper/wrapper_desk.hpp"
#include "shm/group_part.hpp"
#include "shm/system/descriptor_refusal.hpp"
#include "shm/system/pidfd.hpp"
#include "tests/engine/fake_port_world.hpp"

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
    std::shared_ptr<shm::Mapping> memory;
    std::map<std::uint32_t, shm::UniqueFd> wakes;  // of open channels
    bool is_held = false;
  };

  void execute(const GrantTraceNumbers& /*command*/) {}

  // Says into the stream how many groups it could be for.
  void execute(OpenStream command) {
    if (command.upstream == "silent") return;
    if (command.upstream == "full") {
      return replies.post(StreamOpened{.asker = command.asker,
                                       .error = EAGAIN,
                                       .error_text = "it has all its streams",
                                       .number = command.number,
                                       .is_logged = true});
    }
    if (command.upstream != "acquirer") {
      return replies.post(StreamOpened{
          .asker = command.asker, .error = ENOENT, .error_text = "no such upstream", .number = command.number});
    }
    const auto groups = static_cast<char>(command.groups.size());
    static_cast<void>(::send(command.socket.get(), &groups, 1, MSG_NOSIGNAL));
    replies.post(StreamOpened{.asker = command.asker, .number = command.number});
  }
  void execute(const ApplyConfig& /*command*/) { ++refreshes_; }

  static std::string without_shard(const std::string& name) { return name.substr(0, name.find('@')); }

  void execute(const DrainUpstream& command) {
    if (without_shard(command.upstream) == "release") {
      for (const auto client : std::exchange(held_, {})) replies.post(ClientReleased{.client = client});
    }
    for (; without_shard(command.upstream) == "refresh" && refreshes_ > 0; --refreshes_) replies.post(ConfigApplied{});
    if (command.upstream != "silent") {
      replies.post(UpstreamDrained{.asker = command.asker, .requests_left = command.timeout_ms});
    }
  }

  void execute(const ResumeUpstream& command) {
    replies.post(UpstreamDrained{.asker = command.asker, .error = ENOENT, .error_text = "no such upstream"});
  }

  void execute(AdmitClient command) {
    if (clients_.contains(command.id)) std::_Exit(119);  // admitted twice
    command.memory->bytes().back() = std::byte{1};
    clients_[command.id] = {.memory = std::move(command.memory), .wakes = {}};
  }

  void execute(OpenChannel command) {
    auto& client = clients_.at(command.client);
    client.memory->bytes().back() = std::byte{2};
    const auto upstream = without_shard(command.upstream);
    if (upstream == "silent") return;
    if (upstream == "offend") {
      return replies.post(ClientOffended{.client = command.client, .rule = "it offended"});
    }
    client.is_held = client.is_held || upstream == "hold";
    if (upstream != "acquirer" && upstream != "hold" && upstream != "counted") {
      return replies.post(ChannelOpened{.client = command.client, .error = ENOENT, .error_text = "no such upstream"});
    }
    const auto [wake, is_new] = client.wakes.emplace(command.channel, std::move(command.wake));
    if (!is_new) std::_Exit(118);  // it is open
    const std::uint64_t one = 1;
    CHECK(::write(wake->second.get(), &one, sizeof one) == sizeof one);
    if (command.is_told) return;
    replies.post(ChannelOpened{.client = command.client,
                               .error = 0,
                               .error_text = {},
                               .channel = command.channel,
                               .upstream_row = upstream == "counted" ? counted_++ : 3,
                               .shard = 0,
                               .message_bytes_max = 99,
                               .timeout_ms = 1234});
  }

  void execute(CloseChannel command) {
    const bool known = clients_.at(command.client).wakes.erase(command.channel) > 0 || command.channel == 0;
    replies.post(
        ChannelClosed{.client = command.client, .error = known ? 0 : EBUSY, .error_text = known ? "" : "in flight"});
  }

  void execute(DismissClient command) {
    auto client = clients_.extract(command.client);
    const bool is_held = !client.empty() && client.mapped().is_held;
    client = {};  // its descriptors go before the answer
    if (is_held) {
      held_.push_back(command.client);
    } else {
      replies.post(ClientReleased{.client = command.client});
    }
  }

  void execute(Drain /*command*/) {
    drained_ = true;
    replies.post(Drained{.requests_left = 5});
  }

  std::map<ClientId, Client> clients_;
  std::vector<ClientId> held_;  // gone, and not released
  int refreshes_ = 0;           // to be applied
  std::uint32_t counted_ = 0;
  bool drained_ = false;
};

shm::UniqueFd make_object(const std::string& group) {
  auto object = shm::create_group_object(group, kGroupBytes);
  auto readable = shm::open_group_object(group);
  shm::remove_group_object(group);
  if (!object || !readable) std::_Exit(124);
  return std::move(*readable);
}

class FakeRefresher final : public control::Refresher {
 public:
  FakeRefresher(const ServerOptions& options, Log& log) : options_(options), log_(log) {}

  control::RefreshPlan prepare(bool dry_run) override {
    control::RefreshPlan plan;
    plan.changes.push_back({.pointer = "/groups/2", .words = "group \"ADDED\" comes or goes"});
    if (dry_run) return plan;
    plan.order = ApplyConfig{};
    plan.groups = {control::RefreshPlan::Group{.membership = options_.members, .memory = options_.memory},
                   control::RefreshPlan::Group{}};
    for (int i = 0; i < added_; ++i) plan.groups.emplace_back();  // the last one goes, if it is there
    if (!is_there_) {
      plan.groups_added.push_back({.name = "ADDED",
                                   .membership = options_.members,
                                   .memory = options_.memory,
                                   .object = make_object(unique_group()),
                                   .object_bytes = kGroupBytes});
    }
    return plan;
  }
  void adopt() override {
    is_there_ = !is_there_;
    if (is_there_) ++added_;
    log_.info("test_adopted");
  }
  [[nodiscard]] std::string expiry_warnings() const override {
    return "file " + std::to_string(++looks_) + " expires\nanother does\n";
  }

 private:
  const ServerOptions& options_;
  Log& log_;
  int added_ = 0;  // ever
  mutable int looks_ = 0;
  bool is_there_ = false;
};

control::ControlSettings make_settings(const ServerOptions& options, const std::string& group, int listener) {
  control::ControlSettings settings;
  settings.listener.reset(::dup(listener));
  settings.boot_id = {1, 2, 3};
  settings.engine_pid = static_cast<std::uint32_t>(::getpid());
  settings.engine_pidfd = shm::open_pidfd(::getpid());
  settings.observers = options.observers;
  settings.drain_timeout_ms = 100;
  settings.makes_spares = options.makes_spares;
  settings.idle_strategy = options.idle_strategy;
  if (options.shards > 1) settings.shard_of = [](std::string_view name) { return name.ends_with("@1") ? 1U : 0U; };
  for (const auto& name : {group, std::string("OTHER")}) {
    settings.groups.push_back({.name = name,
                               .membership = name == group ? options.members : config::Membership{},
                               .memory = options.memory,
                               .object = make_object(unique_group()),
                               .object_bytes = kGroupBytes});
  }
  return settings;
}

class PortWorldOfServer final : public FakePortWorld {
 public:
  bool is_alive(const ports::PortOwner& owner) override {
    const auto pidfd = shm::open_pidfd(static_cast<pid_t>(owner.pid));
    return pidfd && !shm::is_dead(pidfd.get()) && shm::pidfd_inode(pidfd.get()) == owner.pidfd_inode;
  }
  std::uint64_t now_ns() override {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(now).count());
  }
};

// A desk with the tables of the first group in memory of its own.
class Ports {
 public:
  Ports(const ServerOptions& options, const std::string& group, Log& log)
      : desk_(world_, log, {.engine = {.pid = 1, .program = "tlsmuxd"}}) {
    for (const auto& name : {group, std::string("OTHER")}) {
      config::GroupSettings settings;
      settings.name = name;
      settings.memory = options.memory;
      const bool has_ports = options.ports && name == group;
      if (has_ports) settings.ports = *options.ports;
      const auto tables = group_tables({.engine = {}, .groups = {settings}, .upstreams = {}, .ssl_wrapper = {}}, 0);
      auto object = shm::create_client_memory(tables.total_bytes());
      auto memory = shm::Mapping::map(object->get(), tables.total_bytes(), shm::Access::read_write);
      const auto part = shm::GroupPart::format(memory->bytes(), tables, {.group = name});
      desk_.add_group(settings, {.membership = has_ports ? options.members : config::Membership{},
                                 .part = part,
                                 .memory = std::make_shared<const shm::Mapping>(std::move(*memory))});
    }
  }
  PortDesk& desk() { return desk_; }

 private:
  PortWorldOfServer world_;
  PortDesk desk_;
};

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
  ::sigaddset(&blocked, SIGHUP);
  ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
  if (options.descriptors_max != 0) {
    const rlimit limit{.rlim_cur = options.descriptors_max, .rlim_max = options.descriptors_max};
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 123;
  }
  Log log(config::LogLevel::debug, log_.take_writing_end(), Log::Mode::asynchronous);
  const auto listener = broker::ControlListener::create(path_);
  if (!listener) return 122;
  const int takes = options.takes_descriptors ? 1 : 0;
  ::setsockopt(listener->descriptor(), SOL_SOCKET, SO_PASSRIGHTS, &takes, sizeof takes);  // an older kernel's take them
  auto settings = make_settings(options, group_, listener->descriptor());
  settings.broker_socket = engine_socket_.get();

  FakeRefresher refresher(options, log);
  if (options.refreshes) settings.refresher = &refresher;
  settings.expiry_interval = options.expiry_interval;
  std::optional<Ports> ports;
  if (options.ports) settings.ports = &ports.emplace(options, group_, log).desk();
  config::Config config;
  config.ssl_wrapper.rules = options.wrapper_rules;
  for (const auto& rule : options.wrapper_rules) {
    auto& upstream = config.upstreams.emplace_back();
    upstream.name = rule.upstream;
    upstream.groups = {group_};
  }
  engine::wrapper::WrapperDesk wrapper([&]() -> const config::Config& { return config; }, {}, log);
  wrapper.open();
  settings.wrapper = &wrapper;
  std::deque<FakeShard> shards(options.shards);
  std::vector<control::ShardMailboxes> mailboxes;
  for (auto& shard : shards) mailboxes.push_back({.commands = &shard.commands, .replies = &shard.replies});
  control::ControlServer server(std::move(settings), std::move(mailboxes), log);
  if (!server.open()) return 121;
  std::vector<std::jthread> data_loops;
  for (auto& shard : shards) data_loops.emplace_back([&] { shard.run(); });
  log.info("test_server_open");
  const auto requests_left = server.run();
  data_loops.clear();
  return requests_left == 5 * options.shards ? 0 : 120;
}

int ServerProcess::stop() {
  process_.send_signal(SIGTERM);
  return process_.wait();
}

}  // namespace tlsmux::test
