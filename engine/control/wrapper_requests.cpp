// What libtlsmux_ssl asks for its program: handlers of ClientRegistry, which hand on to the desk. No client need be attached.

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/control/client_registry.hpp"
#include "engine/wrapper/stream_start.hpp"
#include "engine/wrapper/wrapper_desk.hpp"

namespace tlsmux::engine::control {
namespace {

constexpr ClientId kNobody = 0;  // asks for a stream that begins on a redirected socket

void say_refused(int socket, int error, std::string_view words) {
  const auto reason = error == EACCES || error == ENOENT ? shm::Reason::not_permitted : shm::Reason::overload;
  const auto record = wrapper::refused_record(reason, words);
  // There is room: it is the first that is sent.
  static_cast<void>(::send(socket, record.data(), record.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
}

}  // namespace

// Nothing: the connection may be gone.
std::optional<wrapper::Asker> ClientRegistry::wrapper_asker(Connection& connection, std::string_view group) {
  const bool may_ask_now = connection.stage == Stage::arrived || connection.stage == Stage::serving;
  if (!may_ask_now || connection.pending != PendingRequest::none) {
    detach(connection, EPROTO, "it asks about a connection while it waits for something else");
    return std::nullopt;
  }
  if (!identify(connection)) return std::nullopt;
  const auto& peer = *connection.peer;
  auto groups = find_groups_of_member(settings_, group, peer);
  if (!groups) {
    refuse(connection, groups.error());
    return std::nullopt;
  }
  const auto effective_uid = uid_of_peer(connection.socket.get());
  if (!effective_uid) {
    refuse(connection, {.error = EAGAIN, .text = effective_uid.error().message});
    return std::nullopt;
  }
  wrapper::Asker asker{.pid = static_cast<std::uint32_t>(peer.pid),
                       .uid = peer.uid,
                       .effective_uid = *effective_uid,
                       .groups = std::move(*groups),
                       .group_names = {}};
  for (const auto index : asker.groups) asker.group_names.push_back(settings_.groups[index].name);
  return asker;
}

void ClientRegistry::on_match_peer(Connection& connection, const shm::MatchPeerRequest& request) {
  const auto asker = wrapper_asker(connection, shm::text_of(request.group));
  if (!asker) return;
  if (is_changing_) {
    connection.pending = PendingRequest::match_peer;
    waiting_matches_.emplace_back(connection.id, request);
    return;
  }
  const bool is_none = settings_.wrapper == nullptr || draining_;
  send(connection, is_none ? shm::MatchPeerReply{} : settings_.wrapper->match(request, *asker));
}

void ClientRegistry::match_what_waits() {
  is_changing_ = false;
  for (const auto& [asker, request] : std::exchange(waiting_matches_, {})) {
    auto* const connection = find_waiting(asker, PendingRequest::match_peer);
    if (connection == nullptr) continue;
    connection->pending = PendingRequest::none;
    on_match_peer(*connection, request);
  }
}

void ClientRegistry::on_announce_stream(Connection& connection, const shm::AnnounceStreamRequest& request) {
  const auto asker = wrapper_asker(connection, shm::text_of(request.group));
  if (!asker) return;
  if (settings_.wrapper == nullptr) return refuse(connection, {.error = ENOENT, .text = "ssl_wrapper has no rules"});
  if (draining_) return refuse(connection, {.error = EAGAIN, .text = "the engine is stopping"});
  const auto reply = settings_.wrapper->announce(request, *asker);
  if (!reply) return refuse(connection, {.error = reply.error().code, .text = reply.error().message});
  send(connection, *reply);
}

void ClientRegistry::start_redirected_streams() {
  for (auto& started : settings_.wrapper->take_started()) start_redirected(std::move(started));
}

// A second descriptor stays here until the shard has said whether it takes the stream, so that a refusal can be told.
void ClientRegistry::start_redirected(wrapper::StartedStream&& started) {
  auto& from = started.announcement;
  shm::UniqueFd second(::fcntl(started.socket.get(), F_DUPFD_CLOEXEC, 3));
  if (draining_ || !second) {
    return say_refused(started.socket.get(), EAGAIN,
                       draining_ ? "the engine is stopping" : "it has no descriptors left");
  }
  const auto number = ++last_stream_;
  redirected_.emplace(number, std::move(second));
  log_.debug("stream_redirected", {{"stream", number}, {"pid", from.pid}, {"uid", from.uid}});
  auto& commands = *shards_[shard_of(from.upstream)].commands;
  commands.post(OpenStream{.asker = kNobody,
                           .number = number,
                           .upstream = std::move(from.upstream),
                           .groups = std::move(from.groups),
                           .pid = from.pid,
                           .uid = from.uid,
                           .wait_ms = 0,
                           .alpn = std::move(started.alpn),
                           .socket = std::move(started.socket),
                           .tells_hang_up = false});
}

void ClientRegistry::on_redirected_stream(const StreamOpened& reply) {
  const auto socket = redirected_.extract(reply.number);
  if (socket.empty() || reply.error == 0) return;
  say_refused(socket.mapped().get(), reply.error, reply.error_text);
}

}  // namespace tlsmux::engine::control
