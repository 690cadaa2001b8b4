#include "engine/broker/resource_limits.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>

#include "config/made_upstreams.hpp"
#include "engine/control/lobby.hpp"
#include "engine/mux/state.hpp"
#include "engine/wrapper/wrapper_desk.hpp"
#include "ports/book/port_plan.hpp"

namespace tlsmux::engine::broker {
namespace {

constexpr std::uint64_t kDescriptorsOfEngine = 1024;  // log, rings, mailboxes, files being read, connections coming in
constexpr std::uint64_t kDescriptorsPerClient = 3;    // control socket, pidfd, memory while attaching
constexpr std::uint64_t kDescriptorsPerRelay = 6;     // two sockets and two pipes

// Above this not even root may raise the limit of open files. As large as can be if the kernel does not say.
std::uint64_t open_files_of_kernel() {
  std::uint64_t files = 0;
  std::ifstream("/proc/sys/fs/nr_open") >> files;
  return files == 0 ? std::numeric_limits<std::uint64_t>::max() : files;
}

// The hard limit goes up to `wanted` if the process may do that, and the soft limit to the hard one. The soft limit.
std::uint64_t raise(__rlimit_resource resource, std::uint64_t wanted) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return 0;
  const rlimit higher{.rlim_cur = std::max<rlim_t>(limit.rlim_max, wanted),
                      .rlim_max = std::max<rlim_t>(limit.rlim_max, wanted)};
  const rlimit to_hard{.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
  if (::setrlimit(resource, &higher) != 0) ::setrlimit(resource, &to_hard);
  return ::getrlimit(resource, &limit) == 0 ? limit.rlim_cur : 0;
}

}  // namespace

std::uint64_t descriptors_needed(const config::Config& config) {
  const auto made = config::room_for_made(config);
  std::uint64_t needed = kDescriptorsOfEngine + mux::kSpareSessionPlaces;
  needed += std::uint64_t{made.upstreams} * (made.session_places + made.streams);
  // And a doorbell of each shard, and a wake descriptor of each channel.
  const auto per_client = kDescriptorsPerClient + config.engine.shards;
  for (const auto& group : config.groups) {
    needed += std::uint64_t{group.memory.clients_max} * (per_client + group.memory.channels_per_client);
    // Of the broker, for IPv4 and IPv6; and a pidfd for each process that the guard has let in.
    if (group.ports.enforcement.holders) needed += 2 * ports::make_plan(group).all(ports::Protocol::tcp).count();
    if (group.ports.enforcement.guard) needed += group.memory.clients_max;
  }
  for (const auto& upstream : config.upstreams) needed += mux::session_places(upstream) + upstream.streams.open_max;
  if (!config.ssl_wrapper.rules.empty()) {
    needed += control::Lobby::kConnectionsMax + wrapper::WrapperDesk::kSocketsMax * kDescriptorsPerRelay;
  }
  return needed;
}

std::uint64_t raise_limits(std::uint64_t open_files) {
  raise(RLIMIT_MEMLOCK, RLIM_INFINITY);  // without a limit the engine locks all its memory
  return raise(RLIMIT_NOFILE, std::min(open_files, open_files_of_kernel()));
}

std::string advice_for_open_files(std::uint64_t needed) {
  const auto of_kernel = open_files_of_kernel();
  std::string own =
      "CAP_SYS_RESOURCE, LimitNOFILE= of the systemd unit, --ulimit nofile= of the container, or ulimit -Hn";
  if (needed <= of_kernel) return own;
  return "sysctl fs.nr_open=" + std::to_string(needed) + " or more (it is " + std::to_string(of_kernel) + "), then " +
         own;
}

void raise_limits(const config::Config& config, Log& log, pid_t engine) {
  const auto needed = descriptors_needed(config);
  const auto raised = raise_limits(needed);
  if (raised < needed) {
    log.warning(
        "privilege_missing",
        {{"what", "open_files"}, {"limit", raised}, {"wanted", needed}, {"needs", advice_for_open_files(needed)}});
  }
  rlimit own{};
  if (engine != 0 && ::getrlimit(RLIMIT_NOFILE, &own) == 0 && ::prlimit(engine, RLIMIT_NOFILE, &own, nullptr) != 0) {
    log.warning("engine_limit_not_raised", {{"what", "open_files"}, {"error", std::strerror(errno)}});
  }
}

}  // namespace tlsmux::engine::broker
