#include "engine/ports/system_port_world.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

#include "ports/diagnosis/process_identity.hpp"
#include "shm/system/pidfd.hpp"

namespace tlsmux::engine {
namespace {

// As labels in epoll; processes have numbers from 1 on.
constexpr std::uint64_t kGuardEvents = 0;
constexpr std::uint64_t kEnforcementChanges = ~std::uint64_t{0};
constexpr int kEventsMax = 64;

// As the process calls itself; empty if it has ended.
std::string program_of(std::uint32_t pid) {
  const auto path = "/proc/" + std::to_string(pid) + "/comm";
  const shm::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 64> text{};
  const auto size = file ? ::read(file.get(), text.data(), text.size()) : -1;
  std::string program(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  if (program.ends_with('\n')) program.pop_back();
  return program;
}

}  // namespace

std::expected<SystemPortWorld, shm::SystemError> SystemPortWorld::open(broker::BrokerClient& broker,
                                                                       PlaceOfGroup place_of) {
  auto diagnosis = ports::SocketDiagnosis::open();
  if (!diagnosis) return std::unexpected(diagnosis.error());
  shm::UniqueFd poll(::epoll_create1(EPOLL_CLOEXEC));
  if (!poll) return std::unexpected(shm::last_error("making an epoll instance"));
  SystemPortWorld world(broker, std::move(place_of), std::move(*diagnosis), std::move(poll));
  auto changes = broker.watch_port_enforcement();
  if (!changes) return std::unexpected(changes.error());
  world.enforcement_changes_ = std::move(*changes);
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.u64 = kEnforcementChanges;
  const int watched = world.enforcement_changes_.get();
  if (watched >= 0 && ::epoll_ctl(world.poll_.get(), EPOLL_CTL_ADD, watched, &wanted) != 0) {
    return std::unexpected(shm::last_error("watching what the broker does about ports"));
  }
  return world;
}

std::uint64_t SystemPortWorld::now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(now).count());
}

std::expected<std::vector<ports::SocketFact>, shm::SystemError> SystemPortWorld::sockets(ports::Protocol protocol,
                                                                                         const ports::PortSet& ports) {
  return diagnosis_.sockets(protocol, ports);
}

std::expected<std::vector<ports::SocketOwner>, shm::SystemError> SystemPortWorld::find_owners(
    std::span<const std::uint64_t> inodes) {
  return broker_->find_socket_owners(inodes);
}

std::expected<PortProcess, shm::SystemError> SystemPortWorld::identify(std::uint32_t pid) {
  auto identity = ports::identify_process(static_cast<pid_t>(pid));
  if (!identity) return std::unexpected(identity.error());
  PortProcess process{.owner = {.pid = pid,
                                .uid = identity->uid,
                                .client_id = 0,
                                .pidfd_inode = shm::pidfd_inode(identity->pidfd.get()),
                                .program = program_of(pid)},
                      .gids = std::move(identity->gids),
                      .pidfd = std::move(identity->pidfd)};
  // Alive after its name was read: it is its own.
  if (!shm::is_dead(process.pidfd.get())) return process;
  return std::unexpected(shm::SystemError{.code = ESRCH, .message = "process " + std::to_string(pid) + " has ended"});
}

bool SystemPortWorld::is_alive(const ports::PortOwner& owner) {
  const auto pidfd = shm::open_pidfd(static_cast<pid_t>(owner.pid));
  // Used as a thread's number by now (ENOENT from Linux 6.16 on), or by nobody.
  if (!pidfd) return errno != ESRCH && errno != EINVAL && errno != ENOENT;
  const auto inode = shm::pidfd_inode(pidfd.get());
  const bool is_same = owner.pidfd_inode == 0 || inode == 0 || owner.pidfd_inode == inode;
  return is_same && !shm::is_dead(pidfd.get());
}

bool SystemPortWorld::watch(std::uint64_t number, const ports::PortOwner& /*owner*/, shm::UniqueFd pidfd) {
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.u64 = number;
  if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, pidfd.get(), &wanted) != 0) return false;
  watched_.emplace(number, std::move(pidfd));
  return true;
}

std::vector<std::uint64_t> SystemPortWorld::take_ended() {
  std::vector<std::uint64_t> ended;
  std::array<epoll_event, kEventsMax> events;
  while (true) {
    const int count = ::epoll_wait(poll_.get(), events.data(), kEventsMax, 0);
    for (int i = 0; i < count; ++i) {
      const auto number = events[static_cast<std::size_t>(i)].data.u64;
      // Closed, it is not told again.
      if (watched_.erase(number) != 0) ended.push_back(number);
    }
    if (count < kEventsMax) return ended;
  }
}

std::expected<broker::PortLevels, shm::SystemError> SystemPortWorld::enforcement(std::uint32_t group) {
  return broker_->port_enforcement(place_of_(group));
}

std::expected<void, shm::SystemError> SystemPortWorld::admit(std::uint32_t group, std::uint32_t pid) {
  return broker_->admit_to_guard(place_of_(group), pid);
}

// If the broker is dead, the guard stays as it is.
void SystemPortWorld::dismiss(std::uint32_t group, std::uint32_t pid) {
  [[maybe_unused]] const auto told = broker_->dismiss_from_guard(place_of_(group), pid);
}

bool SystemPortWorld::take_enforcement_change() {
  std::uint64_t count = 0;
  return enforcement_changes_ && ::read(enforcement_changes_.get(), &count, sizeof count) == sizeof count;
}

std::expected<void, shm::SystemError> SystemPortWorld::open_guard_events() {
  // Closing does not end the watch, as the broker has the same open file.
  if (guard_events_) ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, guard_events_->descriptor(), nullptr);
  guard_events_.reset();
  auto descriptors = broker_->open_guard_events();
  if (!descriptors) return std::unexpected(descriptors.error());
  if (descriptors->empty()) return {};
  auto events = ports::GuardEvents::open(std::move(*descriptors));
  if (!events) return std::unexpected(shm::SystemError{.code = EINVAL, .message = events.error()});
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.u64 = kGuardEvents;
  if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, events->descriptor(), &wanted) != 0) {
    return std::unexpected(shm::last_error("watching the guard's events"));
  }
  guard_events_.emplace(std::move(*events));
  return {};
}

GuardNews SystemPortWorld::take_guard_news() {
  if (!guard_events_) return {};
  return {.events = guard_events_->take(), .lost = guard_events_->lost()};
}

}  // namespace tlsmux::engine
