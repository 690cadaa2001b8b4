#include "tests/simulation/stream_sockets.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "shm/assert.hpp"

namespace tlsmux::simulation {

using engine::mux::StreamId;
using engine::streams::Streams;

namespace {

constexpr std::size_t kReceiveBytesMax = 4096;  // at a time

}  // namespace

// ---- The engine's calls ----

void StreamSockets::adopt(StreamId stream, shm::UniqueFd socket) {
  const auto memory = context_.engine_calls_world();
  TMX_ASSERT(!sockets_.contains(stream.index));
  auto pipe = announced_.extract(socket.get()).mapped();
  if (!std::exchange(pipe->is_decided, true)) {
    context_.streams.decide(pipe->stream, context_.present(context_.streams.upstream_of(pipe->stream)));
  }
  sockets_[stream.index] = {.id = stream, .pipe = std::move(pipe), .sending = {}};
}

StreamSockets::Socket& StreamSockets::open_socket(StreamId stream) {
  const auto found = sockets_.find(stream.index);
  TMX_ASSERT(found != sockets_.end() && found->second.id == stream && !found->second.closing);
  return found->second;
}

void StreamSockets::receive(StreamId stream) {
  const auto memory = context_.engine_calls_world();
  auto& socket = open_socket(stream);
  TMX_ASSERT(!socket.receiving);
  socket.receiving = true;
  context_.streams.check_may_receive(socket.pipe->stream);
}

void StreamSockets::send(StreamId stream, std::span<const std::byte> bytes) {
  const auto memory = context_.engine_calls_world();
  auto& socket = open_socket(stream);
  TMX_ASSERT(!socket.sending && !bytes.empty());
  socket.sending = bytes;
}

void StreamSockets::watch_hang_up(StreamId stream) {
  const auto memory = context_.engine_calls_world();
  auto& socket = open_socket(stream);
  TMX_ASSERT(!socket.hang_up_watched);
  socket.hang_up_watched = true;
}

void StreamSockets::close(StreamId stream, bool /*reset*/) {
  const auto memory = context_.engine_calls_world();
  auto& socket = open_socket(stream);
  socket.closing = true;
  const auto stream_number = socket.pipe->stream;
  if (is_stopping_ && !context_.streams.is_told_all(stream_number)) return context_.streams.engine_died(stream_number);
  context_.streams.engine_closes(stream_number);
}

void StreamSockets::die() {
  for (auto& [index, socket] : sockets_) socket.pipe->engine_closed = true;
  for (auto& [descriptor, pipe] : announced_) pipe->engine_closed = true;
}

std::uint64_t StreamSockets::number_of(StreamId stream) const {
  const auto found = sockets_.find(stream.index);
  return found != sockets_.end() && found->second.id == stream ? found->second.pipe->stream : 0;
}

// ---- News ----

bool StreamSockets::can_receive(const Socket& socket) {
  const auto& pipe = *socket.pipe;
  return socket.receiving && !socket.closing && (!pipe.up.empty() || pipe.process_finished || pipe.process_closed);
}

bool StreamSockets::can_send(const Socket& socket) {
  const auto& pipe = *socket.pipe;
  return socket.sending && (socket.closing || pipe.process_closed || pipe.down < pipe.room_bytes);
}

bool StreamSockets::is_hung_up(const Socket& socket) {
  const auto& pipe = *socket.pipe;
  return socket.hang_up_watched && !socket.closing && pipe.process_closed && (pipe.tells_hang_up || pipe.is_reset);
}

bool StreamSockets::has_news(const Socket& socket) {
  return can_receive(socket) || can_send(socket) || is_hung_up(socket) || (socket.closing && !socket.sending);
}

bool StreamSockets::has_news() const {
  return std::ranges::any_of(sockets_, [](const auto& entry) { return has_news(entry.second); });
}

bool StreamSockets::tell(Streams& streams) {
  bool any = false;
  for (auto next = sockets_.begin(); next != sockets_.end();) {
    auto& socket = next->second;
    while (has_news(socket) && (context_.faults.none() || context_.random.below(3) != 0)) {
      any = true;
      if (socket.closing && !socket.sending) break;
      tell_one(socket, streams);
    }
    const bool is_over = any && socket.closing && !socket.sending;
    const auto id = socket.id;
    if (is_over) socket.pipe->engine_closed = true;
    next = is_over ? sockets_.erase(next) : std::next(next);
    if (is_over) context_.engine_acts([&] { streams.socket_closed(id); });
  }
  return any;
}

void StreamSockets::tell_one(Socket& socket, Streams& streams) {
  if (is_hung_up(socket) && context_.random.below(2) == 0) {
    socket.hang_up_watched = false;
    return context_.engine_acts([&] { streams.socket_failed(socket.id, EPIPE); });
  }
  if (can_receive(socket) && (!can_send(socket) || context_.random.below(2) == 0))
    return tell_received(socket, streams);
  if (can_send(socket)) tell_took(socket, streams);
}

std::size_t StreamSockets::piece(std::size_t total) {
  return context_.strikes(Fault::partial_io) ? context_.random.piece(total) : total;
}

void StreamSockets::tell_received(Socket& socket, Streams& streams) {
  auto& pipe = *socket.pipe;
  socket.receiving = false;
  if (pipe.is_reset) return context_.engine_acts([&] { streams.socket_failed(socket.id, ECONNRESET); });
  const auto count = pipe.up.empty() ? 0 : piece(std::min(pipe.up.size(), kReceiveBytesMax));
  const std::vector<std::byte> bytes(pipe.up.begin(), pipe.up.begin() + static_cast<std::ptrdiff_t>(count));
  pipe.up.erase(pipe.up.begin(), pipe.up.begin() + static_cast<std::ptrdiff_t>(count));
  context_.streams.engine_read(pipe.stream, count);
  context_.engine_acts([&] { streams.process_sent(socket.id, bytes); });
}

void StreamSockets::tell_took(Socket& socket, Streams& streams) {
  const auto bytes = *std::exchange(socket.sending, std::nullopt);
  const auto result = take(socket, bytes);
  context_.engine_acts([&] { streams.socket_took(socket.id, result); });
}

// What the kernel says to a send.
std::int64_t StreamSockets::take(Socket& socket, std::span<const std::byte> bytes) {
  auto& pipe = *socket.pipe;
  if (pipe.process_closed) {
    // TCP learns of it by what comes back.
    if (pipe.tells_hang_up || std::exchange(pipe.is_reset, true)) return -EPIPE;
    return static_cast<std::int64_t>(bytes.size());
  }
  const auto room = pipe.room_bytes - std::min(pipe.room_bytes, pipe.down);
  if (room == 0 || (socket.closing && context_.random.below(2) == 0)) return -ECANCELED;
  const auto count = piece(std::min(room, bytes.size()));
  pipe.down += count;
  context_.streams.came_down(pipe.stream, bytes.first(count));
  return static_cast<std::int64_t>(count);
}

}  // namespace tlsmux::simulation
