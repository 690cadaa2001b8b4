#include "client/wrapper/engine_questions.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "client/monotonic_clock.hpp"
#include "client/wrapper/next_socket_calls.hpp"
#include "shm/system/seqpacket.hpp"

namespace tlsmux::wrapper {
namespace {

using shm::SystemError;

constexpr int kAnswerTimeoutMs = 1000;

bool is_closed(const SystemError& error) { return error.code == EPIPE || error.code == ECONNRESET; }

// What the engine does without a word.
std::unexpected<SystemError> closed() {
  return std::unexpected(SystemError{.code = EPIPE,
                                     .message =
                                         "the engine has closed the connection: it stops, has no descriptors left, "
                                         "or is asked by too many at once"});
}

template <typename Reply, typename Request>
std::expected<Reply, SystemError> ask(int socket, const Request& request) {
  const auto sent = shm::send_message(socket, request);
  if (!sent) return is_closed(sent.error()) ? closed() : std::unexpected(sent.error());
  const auto until_ns = client::now_ns() + client::ms_to_ns(kAnswerTimeoutMs);
  auto ready = shm::wait_readable(socket, kAnswerTimeoutMs);
  while (!ready && ready.error().code == EINTR) {
    ready = shm::wait_readable(socket, client::ms_until(until_ns, client::now_ns()));
  }
  if (!ready) return std::unexpected(ready.error());
  const auto packet = shm::receive_packet(socket);
  if (!packet) return is_closed(packet.error()) ? closed() : std::unexpected(packet.error());
  if (packet->bytes.empty()) return closed();
  if (Reply reply; shm::read_message(*packet, reply)) return reply;
  if (shm::Refusal refusal; shm::read_message(*packet, refusal)) {
    return std::unexpected(SystemError{.code = refusal.error, .message = std::string(shm::text_of(refusal.text))});
  }
  return std::unexpected(SystemError{.code = EPROTO, .message = "the engine did not understand the wrapper"});
}

}  // namespace

std::expected<EngineQuestions, SystemError> EngineQuestions::open(const std::string& control_socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (control_socket.size() >= sizeof address.sun_path) {
    return std::unexpected(SystemError{.code = ENAMETOOLONG, .message = control_socket + ": too long for a socket"});
  }
  std::memcpy(address.sun_path, control_socket.data(), control_socket.size());
  // Non-blocking: EAGAIN where many more are before this one, rather than waiting for them.
  shm::UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return std::unexpected(shm::last_error("making a socket"));
  if (next.connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), socklen_t{sizeof address}) != 0) {
    auto error = shm::last_error("connecting to " + control_socket);
    if (error.code == ENOENT || error.code == ECONNREFUSED) {
      error.message = "no engine listens on " + control_socket + ": is tlsmuxd running?";
    }
    return std::unexpected(error);
  }
  return EngineQuestions(std::move(socket));
}

EngineQuestions::~EngineQuestions() {
  if (socket_) ::shutdown(socket_.get(), SHUT_RDWR);
}

std::expected<shm::MatchPeerReply, SystemError> EngineQuestions::match(const shm::MatchPeerRequest& request) const {
  return ask<shm::MatchPeerReply>(socket_.get(), request);
}

std::expected<StreamTicket, SystemError> EngineQuestions::announce(const shm::AnnounceStreamRequest& request) const {
  auto reply = ask<shm::AnnounceStreamReply>(socket_.get(), request);
  if (!reply) return std::unexpected(reply.error());
  return reply->ticket;
}

}  // namespace tlsmux::wrapper
