#include "client/preload/group_sockets.hpp"

#include <pthread.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string_view>

#include "client/handles.hpp"
#include "client/monotonic_clock.hpp"
#include "client/no_cancellation.hpp"
#include "client/ports/process_clients.hpp"
#include "client/ports/service_bind.hpp"
#include "client/preload/next_call.hpp"
#include "client/preload/tracked_sockets.hpp"

namespace tlsmux::preload {

using client::ClientPorts;
using client::InetAddress;
using client::InetSocket;

constinit NextCalls next;

namespace {

// Where attaching failed it is not tried again for so long: programs bind in loops.
constexpr std::int64_t kRetryNs = client::ms_to_ns(1000);

// A preloaded library has no other place for what it knows of its process.
constinit TrackedSockets sockets;
constinit std::atomic<ClientPorts*> ports_of_group = nullptr;  // null: not attached yet
constinit std::atomic<std::int64_t> retry_ns = 0;
constinit std::atomic<pid_t> process = 0;

// The library itself uses sockets and descriptors. Initial-exec: no allocation on first use.
[[gnu::tls_model("initial-exec")]] constinit thread_local int depth = 0;

class Inside {
 public:
  Inside() : error_(errno) { ++depth; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() {
    --depth;
    errno = error_;
  }

 private:
  int error_;
  client::NoCancellation no_cancellation_;  // bind() and listen() are no cancellation points
};

// Not the child of a vfork: that has its parent's memory.
bool is_own_process() { return ::getpid() == process.load(std::memory_order_relaxed); }

bool is_set(const char* variable) {
  const char* value = ::secure_getenv(variable);
  return value != nullptr && std::strcmp(value, "1") == 0;
}

void say(const char* what, const char* why) {
  if (is_set("TLSMUX_PORTS_VERBOSE")) ::dprintf(STDERR_FILENO, "libtlsmux_ports: %s: %s\n", what, why);
}

// Null: no group is named, or it cannot be had.
ClientPorts* group_ports() {
  if (auto* const ports = ports_of_group.load(std::memory_order_acquire)) return ports;
  const auto service = client::service_or_environment(nullptr);
  const auto now = client::now_ns();
  if (service.empty() || now < retry_ns.load(std::memory_order_relaxed)) return nullptr;
  const auto attached = client::client_of_process(service);
  if (!attached) {
    retry_ns.store(now + kRetryNs, std::memory_order_relaxed);
    say("not attached, so the kernel alone decides", ::tmx_error_text(attached.error()));
    return nullptr;
  }
  auto* const ports = &(*attached)->client->ports();
  ports_of_group.store(ports, std::memory_order_release);
  return ports;
}

bool shares_port(int socket) {
  int value = 0;
  socklen_t length = sizeof value;
  return ::getsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &value, &length) == 0 && value != 0;
}

// What only the group can say stands. All else the kernel says again, or never hears of.
std::optional<int> judge(ClientPorts& ports, int error, bool stands) {
  if ((error == EACCES || error == EADDRINUSE) && stands) {
    say("refused", ports.last_error().c_str());
    return error;
  }
  say("the kernel alone decides", ::tmx_error_text(error));
  return std::nullopt;
}

std::optional<int> bind_to_dynamic(ClientPorts& ports, int socket, const InetSocket& inspected,
                                   const InetAddress& address) {
  const auto port = client::bind_to_service(ports, socket, inspected, address, {.kind = shm::PortClaimKind::dynamic});
  if (!port) return judge(ports, port.error(), ports.has_range(inspected.protocol));
  sockets.track(socket, {.protocol = inspected.protocol, .number = *port});
  return 0;
}

std::optional<int> bind_as_told(ClientPorts& ports, int socket, const InetSocket& inspected,
                                const InetAddress& address) {
  const auto port = client::bind_to_number(ports, socket, inspected, address);
  // Sockets that share a port are several processes' on purpose.
  if (!port) return judge(ports, port.error(), port.error() != EADDRINUSE || !shares_port(socket));
  sockets.track(socket, {.protocol = inspected.protocol, .number = *port});
  return 0;
}

// Of a socket that is not bound yet. Nothing: not our business.
std::optional<InetSocket> unbound(int socket) {
  const auto inspected = client::inspect(socket);
  return inspected && inspected->port == 0 ? std::optional(*inspected) : std::nullopt;
}

template <typename Function>
std::optional<int> carefully(Function function) {
  if (depth != 0 || !is_own_process()) return std::nullopt;
  const Inside inside;
  try {
    return function();
  } catch (const std::exception& error) {
    say("the kernel alone decides", error.what());
    return std::nullopt;
  }
}

void in_child() {
  process.store(::getpid(), std::memory_order_relaxed);
  ports_of_group.store(nullptr, std::memory_order_relaxed);
  retry_ns.store(0, std::memory_order_relaxed);
  sockets.forget_all();
}

}  // namespace

void prepare() {
  next.bind.find();
  next.connect.find();
  next.listen.find();
  next.close.find();
  next.dup.find();
  next.dup2.find();
  next.dup3.find();
  next.fcntl.find();
  next.fcntl64.find();
  process.store(::getpid(), std::memory_order_relaxed);
  ::pthread_atfork(nullptr, nullptr, in_child);
}

std::optional<int> bind_in_group(int socket, const sockaddr* address, socklen_t length) {
  return carefully([&]() -> std::optional<int> {
    const auto wanted = InetAddress::copy(address, length);
    const auto inspected = wanted ? unbound(socket) : std::nullopt;
    if (!inspected || inspected->family != wanted->family()) return std::nullopt;
    auto* const ports = group_ports();
    if (ports == nullptr) return std::nullopt;
    return wanted->port() == 0 ? bind_to_dynamic(*ports, socket, *inspected, *wanted)
                               : bind_as_told(*ports, socket, *inspected, *wanted);
  });
}

std::optional<int> bind_before_listen(int socket) {
  return carefully([&]() -> std::optional<int> {
    const auto inspected = unbound(socket);
    if (!inspected || inspected->protocol != ports::Protocol::tcp) return std::nullopt;
    auto* const ports = group_ports();
    if (ports == nullptr) return std::nullopt;
    const auto bound = bind_to_dynamic(*ports, socket, *inspected, InetAddress::any(inspected->family));
    return bound == 0 ? std::nullopt : bound;  // the kernel has yet to do the listening
  });
}

void bind_before_connect(int socket, const sockaddr* address, socklen_t length) {
  if (depth != 0 || !InetAddress::copy(address, length)) return;
  carefully([&]() -> std::optional<int> {
    if (!is_set("TLSMUX_SOURCE_PORTS")) return std::nullopt;
    const auto inspected = unbound(socket);
    if (!inspected || inspected->protocol != ports::Protocol::tcp) return std::nullopt;
    if (auto* const ports = group_ports()) {
      bind_to_dynamic(*ports, socket, *inspected, InetAddress::any(inspected->family));
    }
    return std::nullopt;
  });
}

void copied(int from, int to) {
  if (!sockets.is_tracked(from) && !sockets.is_tracked(to)) return;
  const int error = errno;
  if (is_own_process()) sockets.copy(from, to);
  errno = error;
}

Ending::Ending(int descriptor) : descriptor_(descriptor) {
  if (!sockets.is_tracked(descriptor)) return;
  const int error = errno;
  if (is_own_process()) port_ = sockets.take(descriptor);
  errno = error;
}

void Ending::undo() {
  if (port_) sockets.track(descriptor_, *port_);
  port_.reset();
}

Ending::~Ending() {
  if (!port_ || sockets.has(*port_)) return;
  const Inside inside;
  if (auto* const ports = ports_of_group.load(std::memory_order_acquire)) {
    ports->release_at_once(port_->protocol, port_->number);
  }
}

}  // namespace tlsmux::preload
