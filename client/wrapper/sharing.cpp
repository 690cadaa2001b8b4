#include "client/wrapper/sharing.hpp"

#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "client/monotonic_clock.hpp"
#include "client/no_cancellation.hpp"
#include "client/wrapper/next_socket_calls.hpp"
#include "client/wrapper/openssl_calls.hpp"
#include "client/wrapper/other_openssl.hpp"
#include "client/wrapper/peer_address.hpp"
#include "client/wrapper/standard_error.hpp"

namespace tlsmux::wrapper {

using client::InetAddress;

constinit NextSocketCalls next;

namespace {

// A preloaded library has no other place for what it knows of its process. Never destroyed: other threads, and what a program
// does while it exits, go on connecting.
RedirectedSockets& sockets() {
  static auto* const all = std::make_unique<RedirectedSockets>().release();
  return *all;
}
constinit std::atomic_flag is_said = ATOMIC_FLAG_INIT;
constinit std::atomic_flag is_misspelling_said = ATOMIC_FLAG_INIT;
constinit std::atomic<bool> is_engine_expected = false;
// An engine that did not answer in time is left alone so long: each question would cost a second.
constexpr std::int64_t kSilenceNs = client::ms_to_ns(10'000);
constinit std::atomic<std::int64_t> silent_until_ns = 0;

// A program with raised privileges must not be led by its caller's environment.
std::string environment(const char* variable) {
  const char* const value = ::secure_getenv(variable);
  return value != nullptr ? value : "";
}

std::string control_socket() {
  auto given = environment("TLSMUX_CONTROL_SOCKET");
  return given.empty() ? "/run/tlsmux/control.sock" : given;
}

bool expects_engine() {
  if (is_engine_expected.load(std::memory_order_relaxed)) return true;
  for (const auto* const variable : {"TLSMUX_SSL", "TLSMUX_CONTROL_SOCKET", "TLSMUX_GROUP"}) {
    if (!environment(variable).empty()) return true;
  }
  return ::access(control_socket().c_str(), F_OK) == 0;
}

// 0: the kernel does not tell.
std::uint64_t network_namespace_of(int socket) {
  std::uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  return ::getsockopt(socket, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) == 0 ? cookie : 0;
}

bool is_bound_to_device(int socket) {
  std::array<char, IFNAMSIZ> name{};
  socklen_t length = name.size();
  return ::getsockopt(socket, SOL_SOCKET, SO_BINDTODEVICE, name.data(), &length) == 0 && length > 0 && name[0] != '\0';
}

// And nothing that is more than TCP: of that, the kernel's tables show another inode.
bool is_tcp(int socket) {
  int protocol = 0;
  socklen_t length = sizeof protocol;
  return ::getsockopt(socket, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 && protocol == IPPROTO_TCP;
}

std::optional<tcp_info> tcp_info_of(int socket) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return std::nullopt;
  return info;
}

// Neither connected nor on its way.
bool is_fresh(int socket) {
  constexpr std::uint8_t kClosed = 7;  // TCP_CLOSE, which linux/tcp.h has not
  const auto info = tcp_info_of(socket);
  return info && info->tcpi_state == kClosed;
}

// 0 or an errno.
int connect_next(int socket, const InetAddress& to) {
  return next.connect(socket, to.data(), to.length()) == 0 ? 0 : errno;
}

bool is_under_way(int error) { return error == 0 || error == EINPROGRESS || error == EINTR; }

// Again connect() on a socket that is: the kernel tells how far it is.
std::optional<int> connect_again(int socket, const InetAddress& wanted) {
  const auto known = sockets().find(socket);
  if (!known) return std::nullopt;
  if (is_fresh(socket)) {  // that connection has failed; a bound socket keeps its address
    sockets().remove(socket);
    return std::nullopt;
  }
  if (peer_address(known->original).address != peer_address(wanted).address ||
      known->original.port() != wanted.port()) {
    return std::nullopt;
  }
  return connect_next(socket, loopback_like(wanted, known->listener_port));
}

}  // namespace

Mode mode_of_environment() {
  const auto value = environment("TLSMUX_SSL");
  if (value == "shared") return Mode::shared;
  if (value == "unshared") return Mode::unshared;
  if (!value.empty() && value != "auto" && !is_misspelling_said.test_and_set()) {
    say_line("TLSMUX_SSL is neither shared nor unshared nor auto: taken as auto");
  }
  return Mode::automatic;
}

RedirectedSockets& redirected_sockets() { return sockets(); }

// Around fork.
static void lock_all() {
  lock_other_openssl();
  sockets().lock();
}
static void unlock_all() {
  sockets().unlock();
  unlock_other_openssl();
}

void prepare() {
  next.connect.find();
  next.getpeername.find();
  ::pthread_atfork(lock_all, unlock_all, unlock_all);
}

void expect_engine() { is_engine_expected.store(true, std::memory_order_relaxed); }

void say_once(std::string_view why) {
  if (!expects_engine() || is_said.test_and_set()) return;
  say_line("a connection is not shared: " + std::string(why));
}

bool can_be_led(int socket) { return is_tcp(socket) && !is_bound_to_device(socket); }

std::optional<Match> ask(int socket, const InetAddress& peer, std::string_view server_name) {
  const client::NoCancellation until_told;
  if (client::coarse_now_ns() < silent_until_ns.load(std::memory_order_relaxed)) return std::nullopt;
  auto engine = EngineQuestions::open(control_socket());
  if (!engine) {
    say_once(engine.error().message);
    return std::nullopt;
  }
  shm::MatchPeerRequest request;
  request.peer = peer_address(peer);
  shm::set_text(request.server_name, server_name);
  shm::set_text(request.group, environment("TLSMUX_GROUP"));
  auto reply = engine->match(request);
  if (!reply) {
    if (reply.error().code == ETIMEDOUT) {
      silent_until_ns.store(client::coarse_now_ns() + kSilenceNs, std::memory_order_relaxed);
    }
    say_once(reply.error().message);
    return std::nullopt;
  }
  if (reply->is_shared == 0) return std::nullopt;
  if (reply->network_namespace != 0 && reply->network_namespace != network_namespace_of(socket)) {
    say_once("the engine is in another network namespace");
    return std::nullopt;
  }
  return Match{.engine = std::move(*engine), .reply = *reply};
}

std::optional<int> redirect(int socket, const InetAddress& original, const Match& match) {
  const client::NoCancellation until_announced;
  const int error = connect_next(socket, loopback_like(original, match.reply.listener_port));
  if (!is_under_way(error)) {
    dissolve(socket);
    say_once("the engine's listener cannot be reached");
    return std::nullopt;
  }
  const auto local = local_address(socket);
  Redirection redirection{.original = original,
                          .inode = inode_of(socket),
                          .listener_port = match.reply.listener_port,
                          .any_identity = match.reply.any_identity != 0};
  if (!local || redirection.inode == 0) {
    dissolve(socket);
    return std::nullopt;
  }
  shm::AnnounceStreamRequest request;
  request.local = peer_address(*local);
  request.original = peer_address(original);
  request.socket_inode = redirection.inode;
  request.upstream = match.reply.upstream;
  shm::set_text(request.group, environment("TLSMUX_GROUP"));
  const auto ticket = match.engine.announce(request);
  if (!ticket) {
    dissolve(socket);
    say_once(ticket.error().message);
    return std::nullopt;
  }
  redirection.ticket = *ticket;
  sockets().add(*local, redirection);
  return error;
}

std::optional<int> connect_redirected(int socket, const sockaddr* address, socklen_t length) {
  const auto wanted = InetAddress::copy(address, length);
  if (!wanted || !is_tcp(socket)) return std::nullopt;
  if (auto again = connect_again(socket, *wanted)) return again;
  if (mode_of_environment() == Mode::unshared || !has_openssl()) return std::nullopt;
  if (is_bound_to_device(socket) || !is_fresh(socket)) return std::nullopt;
  const auto match = ask(socket, *wanted, {});
  return match ? redirect(socket, *wanted, *match) : std::nullopt;
}

void dissolve(int socket) {
  sockets().remove(socket);
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  static_cast<void>(next.connect(socket, &none, socklen_t{sizeof none}));
}

bool has_spoken(int socket) {
  const auto info = tcp_info_of(socket);
  return info && (info->tcpi_data_segs_in != 0 || info->tcpi_data_segs_out != 0 || info->tcpi_notsent_bytes != 0);
}

}  // namespace tlsmux::wrapper
