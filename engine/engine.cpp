#include "engine/engine.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <deque>
#include <memory>
#include <optional>
#include <system_error>

#include "engine/account_lookup.hpp"
#include "engine/broker/broker_client.hpp"
#include "engine/broker/resource_limits.hpp"
#include "engine/confinement/confinement.hpp"
#include "engine/confinement/file_rules.hpp"
#include "engine/control/control_server.hpp"
#include "engine/engine_vitals.hpp"
#include "engine/group_memory.hpp"
#include "engine/log/log.hpp"
#include "engine/memory_lock.hpp"
#include "engine/ports/port_desk.hpp"
#include "engine/ports/system_port_world.hpp"
#include "engine/refresh/refresh.hpp"
#include "engine/refresh/shard_orders.hpp"
#include "engine/shard/data_loop.hpp"
#include "engine/shard/shard_of.hpp"
#include "engine/wrapper/wrapper_desk.hpp"
#include "shm/system/pidfd.hpp"

namespace tlsmux::engine {
namespace {

constexpr const char* kMoreThreads =
    "a higher TasksMax= of the systemd unit, --pids-limit of the container, or ulimit -u of the engine's user";

std::int64_t seconds_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return now.tv_sec;
}

template <typename Value>
std::expected<Value, shm::SystemError> random_value() {
  Value value{};
  if (::getrandom(&value, sizeof value, 0) != sizeof value) {
    return std::unexpected(shm::last_error("asking the kernel for random bytes"));
  }
  return value;
}

std::expected<control::ControlSettings, shm::SystemError> control_settings(
    broker::BrokerClient& broker, AccountLookup& accounts, const config::Config& config,
    std::vector<GroupMemory>& groups, const shm::BootId& boot_id, int broker_socket, Refresh& refresh) {
  auto listener = broker.open_listener();
  if (!listener) return std::unexpected(listener.error());
  control::ControlSettings settings;
  settings.listener = std::move(*listener);
  settings.boot_id = boot_id;
  settings.engine_pid = static_cast<std::uint32_t>(::getpid());
  settings.engine_pidfd = shm::open_pidfd(::getpid());
  if (!settings.engine_pidfd) return std::unexpected(shm::last_error("opening the engine's own pidfd"));
  settings.observers = {0, ::getuid()};
  settings.drain_timeout_ms = config.engine.drain_timeout_ms;
  settings.descriptors_needed = broker::descriptors_needed(config);
  settings.idle_strategy = config.engine.idle_strategy;
  settings.makes_spares = true;
  settings.broker_socket = broker_socket;
  settings.refresher = &refresh;
  settings.shard_of = [&](std::string_view upstream) { return refresh.shard_of(upstream); };
  settings.reserve_trace_numbers = [&](std::uint32_t upstream, const TraceNeed& need) {
    return broker.reserve_trace_numbers(refresh.place_at_broker(upstream), need);
  };
  for (std::size_t i = 0; i < groups.size(); ++i) {
    auto membership = accounts.membership(config.groups[i], "/groups/" + std::to_string(i));
    if (!membership) {
      const auto& first = membership.error().front();
      return std::unexpected(shm::SystemError{.code = ENOENT, .message = first.pointer + ": " + first.message});
    }
    settings.groups.push_back({.name = config.groups[i].name,
                               .membership = std::move(*membership),
                               .memory = config.groups[i].memory,
                               .object = std::move(groups[i].readable),
                               .object_bytes = groups[i].mapping.bytes().size()});
  }
  return settings;
}

// The data loops and what connects them with the control thread, which outlives them.
struct Shards {
  struct Mailboxes {
    Mailbox<ShardCommand> commands;
    Mailbox<ShardReply> replies;
  };
  std::deque<Mailboxes> mailboxes;  // of each shard
  std::vector<std::unique_ptr<DataLoop>> loops;

  [[nodiscard]] std::vector<control::ShardMailboxes> for_control() {
    std::vector<control::ShardMailboxes> all;
    for (auto& each : mailboxes) all.push_back({.commands = &each.commands, .replies = &each.replies});
    return all;
  }
};

// The groups' tables, and what dead engines have left in theirs.
struct Groups {
  std::vector<GroupMemory> memory;
  std::vector<shm::GroupPart> parts;
  std::vector<std::vector<ports::PortEntry>> ports_before;
};

std::expected<Groups, shm::SystemError> make_groups(broker::BrokerClient& broker, const config::Config& config,
                                                    const shm::GroupIdentity& identity, std::int64_t wall_offset_s,
                                                    Log& log) {
  Groups groups;
  for (std::uint32_t i = 0; i < config.groups.size(); ++i) {
    const auto& name = config.groups[i].name;
    auto before = read_dead_engines_ports(broker, name, {.index = i}, wall_offset_s);
    if (!before) {
      log.error("ports_not_adopted", {{"group", name},
                                      {"why", before.error().message},
                                      {"means", "who holds its ports is known by their sockets only"}});
    }
    groups.ports_before.push_back(before ? std::move(*before) : std::vector<ports::PortEntry>{});
    auto group = make_group(broker, config, i, {.index = i}, identity);
    if (!group) return std::unexpected(group.error());
    groups.parts.push_back(group->part);
    groups.memory.push_back(std::move(*group));
  }
  return groups;
}

// Takes over what a dead engine has left, and looks once who holds what.
void open_port_desk(PortDesk& desk, const config::Config& config, const control::ControlSettings& settings,
                    const Groups& groups) {
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    desk.add_group(config.groups[i],
                   {.membership = settings.groups[i].membership, .part = groups.parts[i], .memory = nullptr},
                   groups.ports_before[i]);
  }
  desk.look_at_enforcement();
  desk.run_timers();
}

ports::PortOwner own_identity(const control::ControlSettings& settings) {
  return {.pid = settings.engine_pid,
          .uid = ::getuid(),
          .client_id = 0,
          .pidfd_inode = shm::pidfd_inode(settings.engine_pidfd.get()),
          .program = "tlsmuxd"};
}

std::expected<void, shm::SystemError> start_shards(const config::Config& config, Log& log,
                                                   std::vector<std::unique_ptr<tls::TlsClient>> tls_clients,
                                                   const std::vector<shm::GroupPart>& parts, PortDesk& desk,
                                                   std::int64_t wall_offset_s, std::uint64_t seed, Shards& shards) {
  const auto vitals = std::make_shared<EngineVitals>(config.engine.shards);
  for (std::uint32_t shard = 0; shard < config.engine.shards; ++shard) {
    std::vector<std::unique_ptr<tls::TlsClient>> own(tls_clients.size());
    std::vector<std::vector<std::uint16_t>> source_ports(config.upstreams.size());
    for (std::uint32_t i = shard; i < own.size(); i += config.engine.shards) {
      own[i] = std::move(tls_clients[i]);
      const auto& upstream = config.upstreams[i];
      if (!upstream.tcp.source_ports.empty()) source_ports[i] = desk.source_ports(i, upstream);
    }
    auto& mailboxes = shards.mailboxes.emplace_back();
    auto loop =
        DataLoop::start({.config = config,
                         .log = log,
                         .commands = mailboxes.commands,
                         .replies = mailboxes.replies,
                         .tls_clients = std::move(own),
                         .board = StatusBoard(config, parts, wall_offset_s, {.shard = shard, .vitals = vitals}),
                         .seed = seed + shard,
                         .shard = shard,
                         .source_ports = std::move(source_ports),
                         .cpu = config.engine.cpus.empty() ? std::nullopt : std::optional(config.engine.cpus[shard])});
    if (!loop) return std::unexpected(loop.error());
    shards.loops.push_back(std::move(*loop));
  }
  return {};
}

std::expected<void, std::string> add_upstream(Refresh& refresh, Shards& shards, const config::UpstreamSettings& made,
                                              std::string_view model) {
  auto order = refresh.make_upstream(made, model);
  if (!order) return std::unexpected(std::move(order.error()));
  const auto count = static_cast<std::uint32_t>(shards.mailboxes.size());
  for (std::uint32_t i = 0; i < count; ++i) shards.mailboxes[i].commands.post(part_for_shard(*order, i, count));
  return {};
}

void report_drained(std::uint32_t requests_left, Log& log) {
  if (requests_left == 0) return log.info("drained", {{"requests_left", requests_left}});
  log.warning("drained", {{"requests_left", requests_left},
                          {"means", "they were not done in time and were ended"},
                          {"needs", "a longer /engine/drain_timeout_ms, if hosts answer that late"}});
}

// Everything up to serving, then serving.
std::expected<void, shm::SystemError> serve(const config::Config& config, EngineResources& resources, Log& log) {
  broker::BrokerClient broker(resources.broker_socket.get());
  const auto boot_id = random_value<shm::BootId>();
  const auto seed = random_value<std::uint64_t>();
  if (!boot_id) return std::unexpected(boot_id.error());
  if (!seed) return std::unexpected(seed.error());
  auto library = tls::TlsLibrary::create();
  if (!library) return std::unexpected(shm::SystemError{.code = EINVAL, .message = library.error().words});

  const auto wall_offset_s = seconds_of(CLOCK_REALTIME) - seconds_of(CLOCK_MONOTONIC);
  const shm::GroupIdentity identity{.group = {},
                                    .boot_id = *boot_id,
                                    .engine_pid = static_cast<std::uint32_t>(::getpid()),
                                    .shard_count = config.engine.shards,
                                    .engine_started_s = seconds_of(CLOCK_REALTIME),
                                    .restarts = resources.restarts};
  auto groups = make_groups(broker, config, identity, wall_offset_s, log);
  if (!groups) return std::unexpected(groups.error());
  AccountLookup accounts;
  Refresh refresh(broker, accounts, **library, config, identity, log);
  auto tls_clients = refresh.make_tls_clients();
  if (!tls_clients) return std::unexpected(tls_clients.error());
  auto settings =
      control_settings(broker, accounts, config, groups->memory, *boot_id, resources.broker_socket.get(), refresh);
  if (!settings) return std::unexpected(settings.error());

  auto world = SystemPortWorld::open(broker, [&](std::uint32_t group) { return refresh.place_of_group(group); });
  if (!world) return std::unexpected(world.error());
  PortDesk desk(
      *world, log,
      {.engine = own_identity(*settings), .wall_offset_s = wall_offset_s, .sweep_ms = config.engine.port_sweep_ms});
  open_port_desk(desk, config, *settings, *groups);
  settings->ports = &desk;
  Shards shards;
  wrapper::WrapperDesk wrapper_desk([&]() -> const config::Config& { return refresh.config(); },
                                    [&](const config::UpstreamSettings& made, std::string_view model) {
                                      return add_upstream(refresh, shards, made, model);
                                    },
                                    log);
  wrapper_desk.open();
  settings->wrapper = &wrapper_desk;

  const auto started =
      start_shards(config, log, std::move(*tls_clients), groups->parts, desk, wall_offset_s, *seed, shards);
  if (!started) return started;
  // The data loops have their rings.
  confinement::enter_thread(confinement::ThreadKind::control);

  control::ControlServer control(std::move(*settings), shards.for_control(), log);
  if (auto opened = control.open(); !opened) return std::unexpected(opened.error());
  if (auto told = broker.report_serving(); !told) return std::unexpected(told.error());
  log.info("serving", {{"groups", config.groups.size()},
                       {"upstreams", config.upstreams.size()},
                       {"shards", config.engine.shards},
                       {"records_by", tls::name((*library)->aead_library())}});
  const auto requests_left = control.run();
  report_drained(requests_left, log);
  if (!broker.remove_group_objects()) {
    refresh.remove_group_objects([&](std::uint32_t group) { return !desk.group(group)->tables().is_empty(); });
  }
  return {};
}

// False: the engine may not start.
bool report_confinement(const std::expected<confinement::Confinement, shm::SystemError>& confined, Log& log) {
  if (!confined) {
    log.error("engine_cannot_start", {{"why", confined.error().message}});
    return false;
  }
  if (!confined->missing.empty()) log.warning("confinement_incomplete", {{"what", confined->missing}});
  log.info("confined", {{"calls_filtered", confined->calls_filtered ? "yes" : "no"},
                        {"landlock_version", confined->landlock_version}});
  return true;
}

// Of what is not found, or not permitted, the reason may be a file that the engine may not read.
void report_end(const shm::SystemError& error, int landlock_version, Log& log) {
  const bool is_missing = error.code == ENOENT || error.code == EACCES;
  if (landlock_version == 0 || !is_missing) return log.error("engine_cannot_start", {{"why", error.message}});
  std::string readable;
  for (const auto path : confinement::readable_paths()) readable.append(readable.empty() ? "" : " ").append(path);
  log.error("engine_cannot_start", {{"why", error.message}, {"landlock_lets_read", readable}});
}

}  // namespace

int run_engine(const config::Config& config, EngineResources resources) {
  const auto locked = lock_memory();
  // Before the log, which has a thread.
  const auto confined = confinement::confine_process(resources.log_output.get(), config.engine.confinement);
  // For the last word of an engine that is given no thread, not even for its log.
  shm::UniqueFd last_output(::fcntl(resources.log_output.get(), F_DUPFD_CLOEXEC, 3));
  try {
    Log log(config.engine.log.level, std::move(resources.log_output), Log::Mode::asynchronous);
    if (!report_confinement(confined, log)) return kExitCannotStart;
    if (!locked)
      log.warning("memory_not_locked", {{"what", "messages and private keys"}, {"needs", locked.error().message}});
    const auto served = serve(config, resources, log);
    if (served) return kExitClean;
    report_end(served.error(), confined->landlock_version, log);
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::resource_unavailable_try_again) throw;
    Log(config.engine.log.level, std::move(last_output), Log::Mode::synchronous)
        .error("engine_cannot_start",
               {{"why", "the kernel starts no more threads for this user or this unit"}, {"needs", kMoreThreads}});
  }
  return kExitCannotStart;
}

}  // namespace tlsmux::engine
