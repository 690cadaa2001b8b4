#include "tests/engine/port_desk_room.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include <doctest/doctest.h>

namespace tlsmux::test {
namespace {

constexpr std::uint32_t kSweepMs = 1000;
constexpr shm::ClientGeometry kGeometry{.channels = 1, .slots_per_channel = 2, .slot_bytes = 64};

shm::UniqueFd duplicate(const shm::UniqueFd& fd) { return shm::UniqueFd(::dup(fd.get())); }

}  // namespace

config::GroupSettings ebanking() {
  config::GroupSettings group;
  group.name = "EBANKING";
  group.users = {std::to_string(kMemberUid)};
  group.unix_groups = {std::to_string(kMemberGid)};
  group.memory.clients_max = 4;
  group.ports.static_ports = {{.port = 2000, .protocol = config::PortProtocols::tcp, .label = "pos", .program = ""}};
  group.ports.dynamic = {{.from = 1000, .to = 1099, .protocols = config::PortProtocols::both}};
  group.ports.leases_per_process = 0;
  group.ports.reuse_delay_ms = 5000;
  return group;
}

config::Membership members() { return {.users = {kMemberUid}, .groups = {kMemberGid}}; }

DeskRoom::DeskRoom(const config::GroupSettings& settings, FakePortWorld* shared_world,
                   std::span<const ports::PortEntry> before)
    : world(shared_world == nullptr ? own_world : *shared_world),
      log_file_(::memfd_create("log", MFD_CLOEXEC)),
      log_(config::LogLevel::debug, duplicate(log_file_), engine::Log::Mode::synchronous),
      desk(world, log_,
           {.engine = world.start(1, {.uid = 99, .program = "tlsmuxd"}),
            .wall_offset_s = kWallOffsetS,
            .sweep_ms = kSweepMs}) {
  add_group(settings, before);
}

void DeskRoom::add_group(const config::GroupSettings& settings, std::span<const ports::PortEntry> before) {
  const config::Config config{.engine = {}, .groups = {settings}, .upstreams = {}, .ssl_wrapper = {}};
  const auto tables = engine::group_tables(config, 0);
  auto& memory = part_memory_.emplace_back();
  memory.storage.resize(tables.total_bytes() + shm::kPageBytes);
  void* start = memory.storage.data();
  auto room = memory.storage.size();
  REQUIRE(std::align(shm::kPageBytes, tables.total_bytes(), start, room) != nullptr);
  memory.bytes = {static_cast<std::byte*>(start), tables.total_bytes()};
  const auto part = shm::GroupPart::format(memory.bytes, tables, {.group = settings.name});
  desk.add_group(settings, {.membership = members(), .part = part, .memory = nullptr}, before);
  desk.look_at_enforcement();
  settle();
}

DeskRoom::Client DeskRoom::attach(const FakePortWorld::Process& process, std::uint32_t group, std::uint32_t pid) {
  const auto number = pid != 0 ? pid : ++last_pid_;
  const auto gid = process.gids.empty() ? 0 : process.gids.back();
  return seat(world.start(number, process), gid, group);
}

DeskRoom::Client DeskRoom::attach_again(const ports::PortOwner& owner) { return seat(owner, owner.uid, 0); }

DeskRoom::Client DeskRoom::seat(ports::PortOwner owner, gid_t gid, std::uint32_t group) {
  const Client client{.pid = owner.pid, .id = ++last_client_, .leases = nullptr};
  owner.client_id = client.id;
  const auto memfd = shm::create_client_memory(kGeometry.total_bytes());
  REQUIRE(memfd);
  auto mapping = shm::Mapping::map(memfd->get(), kGeometry.total_bytes(), shm::Access::read_write);
  REQUIRE(mapping);
  const auto& memory = client_memory_.emplace_back(std::make_shared<shm::Mapping>(std::move(*mapping)));
  desk.client_attached({.id = client.id,
                        .group = group,
                        .owner = owner,
                        .gid = gid,
                        .memory = memory,
                        .leases_offset = kGeometry.leases_offset()});
  auto* const words = memory->bytes().data() + kGeometry.leases_offset();
  return {.pid = client.pid, .id = client.id, .leases = reinterpret_cast<shm::PortLeases*>(words)};
}

void DeskRoom::kill(const Client& client) {
  world.end(client.pid);
  desk.client_left(client.id);
  desk.client_died(client.id);
  desk.client_forgotten(client.id, {});
  settle();
}

std::expected<shm::ClaimPortReply, ports::ClaimRefusal> DeskRoom::claim(const Client& client,
                                                                        const shm::ClaimPortRequest& request) {
  return desk.claim(client.id, request);
}

std::uint16_t DeskRoom::claim(const Client& client, bool wants_leases) {
  const auto reply = claim(
      client,
      {.header = {}, .kind = shm::PortClaimKind::dynamic, .protocol = shm::kPortTcp, .leases = wants_leases ? 1U : 0U});
  return reply ? static_cast<std::uint16_t>(reply->port) : std::uint16_t{0};
}

void DeskRoom::release(const Client& client, ports::Port port, bool in_use) {
  desk.release(
      client.id,
      {.header = {}, .protocol = ports::bit_of(port.protocol), .port = port.number, .in_use = in_use ? 1U : 0U});
}

void DeskRoom::report_in_use(const Client& client, ports::Port port) {
  desk.release(
      client.id,
      {.header = {}, .protocol = ports::bit_of(port.protocol), .port = port.number, .in_use = shm::kInUseByAnyone});
}

void DeskRoom::settle() {
  desk.on_events();
  // At the most: a sweep, one more for the owners that it led to, and what that brought to light.
  for (int i = 0; i < 4 && desk.next_deadline_ns() != 0 && desk.next_deadline_ns() <= world.time_ns; ++i) {
    desk.run_timers();
  }
}

void DeskRoom::sweep(int times) {
  for (int i = 0; i < times; ++i) {
    world.pass(kSweepMs);
    settle();
  }
}

shm::GroupView DeskRoom::view() const {
  const auto view = shm::GroupView::open(tables());
  REQUIRE(view);
  return *view;
}

std::vector<const shm::PortRow*> DeskRoom::rows() const {
  const auto tables = view();
  std::vector<const shm::PortRow*> all;
  for (std::uint32_t i = 0; i < tables.ports().size(); ++i) {
    if (tables.ports()[i].state != shm::PortState::free) all.push_back(&tables.ports()[i]);
  }
  return all;
}

const shm::PortRow* DeskRoom::row(ports::Port port) const {
  const auto all = rows();
  const auto found = std::ranges::find_if(all, [&](const shm::PortRow* each) {
    return each->port == port.number && each->protocol == ports::bit_of(port.protocol);
  });
  return found == all.end() ? nullptr : *found;
}

shm::PortState DeskRoom::state(ports::Port port) const {
  const auto* const found = row(port);
  return found == nullptr ? shm::PortState::free : found->state;
}

std::uint32_t DeskRoom::free_count(ports::Protocol protocol) const {
  return view().port_summaries()[0].dynamic_free[index_of(protocol)];
}

std::string DeskRoom::log_text() const {
  std::string text(1U << 20, '\0');
  const auto size = ::pread(log_file_.get(), text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

}  // namespace tlsmux::test
