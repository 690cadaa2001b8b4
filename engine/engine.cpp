#include "engine/engine.hpp"

#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "engine/broker/broker_client.hpp"
#include "engine/control/control_server.hpp"
#include "engine/data_loop.hpp"
#include "engine/log.hpp"
#include "engine/refresh.hpp"
#include "shm/group_part.hpp"
#include "shm/pidfd.hpp"

namespace tlsmux::engine {
namespace {

// The group's object, mapped for writing and open for handing out.
struct GroupMemory {
  shm::Mapping mapping;
  shm::UniqueFd readable;
  shm::GroupPart part;
};

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

std::expected<GroupMemory, shm::SystemError> make_group(broker::BrokerClient& broker, const config::Config& config,
                                                        std::uint32_t group, const shm::BootId& boot_id) {
  const auto tables = group_tables(config, group);
  auto object = broker.create_group_object(group, tables.total_bytes());
  if (!object) return std::unexpected(object.error());
  auto mapping = shm::Mapping::map(object->writable.get(), tables.total_bytes(), shm::Access::read_write);
  if (!mapping) return std::unexpected(mapping.error());
  const shm::GroupIdentity identity{.group = config.groups[group].name,
                                    .boot_id = boot_id,
                                    .engine_pid = static_cast<std::uint32_t>(::getpid()),
                                    .shard_count = 1,
                                    .engine_started_s = seconds_of(CLOCK_REALTIME)};
  GroupMemory memory{.mapping = std::move(*mapping), .readable = std::move(object->readable), .part = {}};
  memory.part = shm::GroupPart::format(memory.mapping.bytes(), tables, identity);
  return memory;
}

std::expected<control::ControlSettings, shm::SystemError> control_settings(broker::BrokerClient& broker,
                                                                           const config::Config& config,
                                                                           std::vector<GroupMemory>& groups,
                                                                           const shm::BootId& boot_id,
                                                                           int broker_socket, Refresh& refresh) {
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
  settings.broker_socket = broker_socket;
  settings.refresher = &refresh;
  settings.reserve_trace_numbers = [&](std::uint32_t upstream, std::uint32_t blocks) {
    return broker.reserve_trace_numbers(refresh.place_at_broker(upstream), blocks);
  };
  for (std::size_t i = 0; i < groups.size(); ++i) {
    auto membership = config::resolve_membership(config.groups[i], "/groups/" + std::to_string(i));
    if (!membership) {
      const auto& first = membership.error().front();
      return std::unexpected(shm::SystemError{.code = EINVAL, .message = first.pointer + ": " + first.message});
    }
    settings.groups.push_back({.name = config.groups[i].name,
                               .membership = std::move(*membership),
                               .memory = config.groups[i].memory,
                               .object = std::move(groups[i].readable),
                               .object_bytes = groups[i].mapping.bytes().size()});
  }
  return settings;
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

  std::vector<GroupMemory> groups;
  std::vector<shm::GroupPart> parts;
  for (std::uint32_t i = 0; i < config.groups.size(); ++i) {
    auto group = make_group(broker, config, i, *boot_id);
    if (!group) return std::unexpected(group.error());
    parts.push_back(group->part);
    groups.push_back(std::move(*group));
  }
  Refresh refresh(broker, **library, config, log);
  auto tls_clients = refresh.make_tls_clients();
  if (!tls_clients) return std::unexpected(tls_clients.error());
  auto settings = control_settings(broker, config, groups, *boot_id, resources.broker_socket.get(), refresh);
  if (!settings) return std::unexpected(settings.error());

  Mailbox<ShardCommand> commands;
  Mailbox<ShardReply> replies;
  const auto wall_offset_s = seconds_of(CLOCK_REALTIME) - seconds_of(CLOCK_MONOTONIC);
  auto loop = DataLoop::start({.config = config,
                               .log = log,
                               .commands = commands,
                               .replies = replies,
                               .tls_clients = std::move(*tls_clients),
                               .board = StatusBoard(config, std::move(parts), wall_offset_s),
                               .seed = *seed});
  if (!loop) return std::unexpected(loop.error());

  control::ControlServer control(std::move(*settings), {{.commands = &commands, .replies = &replies}}, log);
  if (auto opened = control.open(); !opened) return std::unexpected(opened.error());
  if (auto told = broker.report_serving(); !told) return std::unexpected(told.error());
  log.info("serving", {{"groups", config.groups.size()}, {"upstreams", config.upstreams.size()}});
  const auto requests_left = control.run();
  log.info("drained", {{"requests_left", requests_left}});
  if (!broker.remove_group_objects()) {
    // The broker is dead. Ours to remove: the groups' locks, which we still hold, keep any other engine out.
    for (const auto& group : config.groups) shm::remove_group_object(group.name);
  }
  return {};
}

}  // namespace

int run_engine(const config::Config& config, EngineResources resources) {
  Log log(config.engine.log.level, std::move(resources.log_output), Log::Mode::asynchronous);
  const auto served = serve(config, resources, log);
  if (served) return kExitClean;
  log.error("engine_cannot_start", {{"why", served.error().message}});
  return kExitCannotStart;
}

}  // namespace tlsmux::engine
