#include "tests/fuzz/port_hall.hpp"

#include <unistd.h>

#include <array>
#include <string>
#include <utility>

#include "engine/shard/status_board.hpp"
#include "shm/group_part.hpp"
#include "shm/system/pidfd.hpp"

namespace tlsmux::fuzz {
namespace {

constexpr std::uint32_t kSweepMs = 1000;
constexpr std::uint32_t kEnginePid = 1;
constexpr std::array<std::uint32_t, 2> kOtherPids = {5001, 5002};  // of this user and of another one
constexpr std::uint32_t kStrangerUid = 4999;
constexpr std::uint16_t kFirstPort = 1000;

config::GroupSettings settings_of(bool is_changed) {
  config::GroupSettings group;
  group.name = "group";
  group.users = {std::to_string(::geteuid())};
  group.memory.clients_max = 2;
  group.ports.static_ports = {{.port = 2000, .protocol = config::PortProtocols::tcp, .label = "pos", .program = ""}};
  const std::uint16_t from = is_changed ? kFirstPort + 2 : kFirstPort;
  group.ports.dynamic = {
      {.from = from, .to = static_cast<std::uint16_t>(from + 3), .protocols = config::PortProtocols::both}};
  group.ports.leases_per_process = 2;
  group.ports.per_process_max = is_changed ? 2 : 0;
  group.ports.reuse_delay_ms = 500;
  return group;
}

shm::Mapping make_memory(const shm::GroupTables& tables) {
  auto object = shm::create_client_memory(tables.total_bytes());
  require(object.has_value(), "no memory for a group's tables");
  auto mapping = shm::Mapping::map(object->get(), tables.total_bytes(), shm::Access::read_write);
  require(mapping.has_value(), "a group's tables cannot be mapped");
  return std::move(*mapping);
}

shm::GroupTables tables_of(const config::GroupSettings& settings) {
  const config::Config config{.engine = {}, .groups = {settings}, .upstreams = {}, .ssl_wrapper = {}};
  return engine::group_tables(config, 0);
}

std::uint32_t choose_pid(Choices& choices) {
  const auto choice = choices.next() % 4U;
  return choice < kOtherPids.size() ? kOtherPids[choice] : static_cast<std::uint32_t>(::getpid());
}

std::uint64_t own_pidfd_inode() {
  const auto pidfd = shm::open_pidfd(::getpid());
  return shm::pidfd_inode(pidfd.get());
}

}  // namespace

PortHallWorld::PortHallWorld() : own_pid_(static_cast<std::uint32_t>(::getpid())), own_inode_(own_pidfd_inode()) {
  const auto user = static_cast<std::uint32_t>(::geteuid());
  start(own_pid_, {.uid = user, .gids = {::getegid()}});
  start(kOtherPids[0], {.uid = user, .gids = {::getegid()}});
  start(kOtherPids[1], {.uid = kStrangerUid, .gids = {kStrangerUid}});
}

std::expected<std::vector<ports::SocketOwner>, shm::SystemError> PortHallWorld::find_owners(
    std::span<const std::uint64_t> inodes) {
  auto owners = FakePortWorld::find_owners(inodes);
  for (auto& owner : *owners) {
    if (owner.pid == own_pid_) owner.pidfd_inode = own_inode_;
  }
  return owners;
}

std::expected<engine::PortProcess, shm::SystemError> PortHallWorld::identify(std::uint32_t pid) {
  auto process = FakePortWorld::identify(pid);
  if (process && pid == own_pid_) process->owner.pidfd_inode = own_inode_;
  return process;
}

bool PortHallWorld::is_alive(const ports::PortOwner& owner) {
  return owner.pid == own_pid_ ? is_own_alive_ : FakePortWorld::is_alive(owner);
}

PortHall::PortHall(engine::Log& log)
    : membership_{.users = {::geteuid()}, .groups = {}},
      memory_(make_memory(tables_of(settings_of(false)))),
      desk_(world_, log, {.engine = world_.start(kEnginePid, {.uid = 0, .gids = {0}}), .sweep_ms = kSweepMs}) {
  const auto settings = settings_of(false);
  const auto part = shm::GroupPart::format(memory_.bytes(), tables_of(settings), {.group = settings.name});
  desk_.add_group(settings, {.membership = membership_, .part = part, .memory = nullptr});
  desk_.look_at_enforcement();
}

std::uint32_t PortHall::choose_port(Choices& choices) {
  const auto choice = choices.next() % 8U;
  return choice == 7 ? 2000 : kFirstPort + choice;
}

shm::ClaimPortRequest PortHall::make_claim(Choices& choices) {
  const auto how = choices.next();
  shm::ClaimPortRequest request{.header = {},
                                .kind = static_cast<shm::PortClaimKind>(1 + how % 3),
                                .protocol = (how & 4) != 0 ? shm::kPortUdp : shm::kPortTcp,
                                .leases = (how & 8) != 0 ? 1U : 0U};
  if (request.kind == shm::PortClaimKind::number) request.port = choose_port(choices);
  if ((how & 16) != 0) request.owner_pid = choose_pid(choices);
  if ((how & 32) != 0) shm::set_text(request.label, (how & 64) != 0 ? "atm" : "pos");
  return request;
}

shm::ReleasePortRequest PortHall::make_release(Choices& choices) {
  const auto how = choices.next();
  shm::ReleasePortRequest request{.header = {},
                                  .protocol = (how & 4) != 0 ? shm::kPortUdp : shm::kPortTcp,
                                  .port = choose_port(choices),
                                  .in_use = how % 4U};
  if ((how & 16) != 0) request.owner_pid = choose_pid(choices);
  return request;
}

void PortHall::step(Choices& choices) {
  switch (choices.next() % 10) {
    case 0: bind(choices); break;
    case 1:
      if (!sockets_.empty()) world_.close(sockets_[choices.next() % sockets_.size()]);
      break;
    case 2: replace_process(choices); break;
    case 3: world_.is_mute = !world_.is_mute; break;
    case 4: desk_.change_group(0, settings_of(choices.next() % 2 != 0), membership_); break;
    case 5: hear_of_guard(choices); break;
    case 6: change_enforcement(choices); break;
    case 7: world_.has_broker = !world_.has_broker; break;
    case 8: desk_.set_sweep_ms(100 + choices.next() * 10U); break;
    default: break;
  }
  pass(choices.next() * 20U);
}

void PortHall::bind(Choices& choices) {
  const auto how = choices.next();
  const auto pid = choose_pid(choices);
  const ports::Port port{.protocol = (how & 1) != 0 ? ports::Protocol::udp : ports::Protocol::tcp,
                         .number = static_cast<std::uint16_t>(choose_port(choices))};
  sockets_.push_back(world_.bind(pid, port));
  if ((how & 2) != 0) world_.share(sockets_.back(), kOtherPids[0]);
}

// Another one with its number.
void PortHall::replace_process(Choices& choices) {
  const auto which = choices.next() % kOtherPids.size();
  const auto user = which == 0 ? static_cast<std::uint32_t>(::geteuid()) : kStrangerUid;
  world_.end(kOtherPids[which]);
  world_.start(kOtherPids[which], {.uid = user, .gids = {user}});
  std::erase_if(sockets_, [&](auto inode) { return world_.FakePortWorld::find_owners(std::array{inode})->empty(); });
}

void PortHall::hear_of_guard(Choices& choices) {
  const auto how = choices.next();
  world_.news.events.push_back({.at_ns = world_.time_ns,
                                .pid = choose_pid(choices),
                                .uid = (how & 1) != 0 ? kStrangerUid : static_cast<std::uint32_t>(::geteuid()),
                                .gid = 0,
                                .service = how / 16U,
                                .port = {.protocol = (how & 2) != 0 ? ports::Protocol::udp : ports::Protocol::tcp,
                                         .number = static_cast<std::uint16_t>(choose_port(choices))},
                                .is_denied = (how & 4) != 0,
                                .program = "program"});
  if ((how & 8) != 0) ++world_.news.lost;
}

void PortHall::change_enforcement(Choices& choices) {
  const auto how = choices.next();
  auto& levels = world_.levels[0];
  levels.reservation.state = static_cast<shm::PortEnforcement>(how % 3U);
  levels.guard.state = static_cast<shm::PortEnforcement>(how / 4U % 3U);
  levels.holder_sockets.clear();
  if ((how & 64) != 0 && !sockets_.empty()) levels.holder_sockets.push_back(sockets_.front());
  world_.is_enforcement_changed = true;
  if ((how & 128) != 0) desk_.look_at_enforcement();
}

void PortHall::pass(std::uint64_t ms) {
  world_.pass(ms);
  desk_.on_events();
  // At the most: a sweep, one more for the owners that it led to, and what that brought to light.
  for (int i = 0; i < 4 && desk_.next_deadline_ns() != 0 && desk_.next_deadline_ns() <= world_.time_ns; ++i) {
    desk_.run_timers();
  }
}

void PortHall::end() {
  world_.is_mute = false;
  world_.is_own_alive_ = false;
  for (const auto pid : kOtherPids) world_.end(pid);
  world_.end(world_.own_pid_);
  const auto is_over = [this] { return world_.watched() == 0 && !desk_.group(0)->is_anything_held(); };
  for (int i = 0; i < 40 && !is_over(); ++i) pass(kSweepMs * 3);
  pass(kSweepMs * 3);  // and stays so
  require(world_.watched() == 0, "a process is watched that has ended");
  require(!desk_.group(0)->is_anything_held(), "a port is held that nobody has");
}

}  // namespace tlsmux::fuzz
