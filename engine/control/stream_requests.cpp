// What processes ask for about streams: handlers of ClientRegistry. No client need be attached.

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "engine/control/client_registry.hpp"
#include "engine/control/stream_ends.hpp"

namespace tlsmux::engine::control {

void ClientRegistry::on_open_stream(Connection& connection, const shm::OpenStreamRequest& request) {
  const bool may_ask_now = connection.stage == Stage::arrived || connection.stage == Stage::serving;
  if (!may_ask_now || connection.pending != PendingRequest::none) {
    return detach(connection, EPROTO, "it asks for a stream while it waits for something else");
  }
  if (!identify(connection)) return;
  if (draining_) return refuse(connection, {.error = EAGAIN, .text = "the engine is stopping"});
  auto groups = find_groups_of_member(settings_, shm::text_of(request.group), *connection.peer);
  if (!groups) return refuse(connection, groups.error());
  auto ends = make_stream_ends(!takes_descriptors_);
  if (!ends) return refuse(connection, {.error = EAGAIN, .text = ends.error().message});
  connection.pending = PendingRequest::open_stream;
  connection.stream = std::move(ends->process);
  std::string upstream(shm::text_of(request.upstream));
  auto& commands = *shards_[shard_of(upstream)].commands;
  commands.post(OpenStream{.asker = connection.id,
                           .number = ++last_stream_,
                           .upstream = std::move(upstream),
                           .groups = std::move(*groups),
                           .pid = static_cast<std::uint32_t>(connection.peer->pid),
                           .uid = connection.peer->uid,
                           .wait_ms = std::min(request.wait_ms, config::kTimeoutMsMax),
                           .socket = std::move(ends->engine),
                           .tells_hang_up = ends->tells_hang_up});
}

void ClientRegistry::on_stream_opened(const StreamOpened& reply) {
  auto* const connection = find_waiting(reply.asker, PendingRequest::open_stream);
  if (connection == nullptr) return;
  connection->pending = PendingRequest::none;
  const auto stream = std::move(connection->stream);
  if (reply.error != 0) {
    const Denial denial{.error = reply.error, .text = reply.error_text};
    return reply.is_logged ? send_refusal(*connection, denial) : refuse(*connection, denial);
  }
  log_.debug("stream_opened",
             {{"stream", reply.number}, {"pid", connection->peer->pid}, {"uid", connection->peer->uid}});
  send(*connection, shm::OpenStreamReply{.header = {}, .number = reply.number}, std::array{stream.get()});
}

}  // namespace tlsmux::engine::control
