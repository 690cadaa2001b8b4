#include "engine/io/stream_places.hpp"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "engine/io/io_loop.hpp"
#include "shm/assert.hpp"
#include "shm/wipe.hpp"

namespace tlsmux::engine::io {

namespace {

// Of a TCP socket: what the process has not had room for yet would be thrown away by a reset.
bool all_is_sent(int socket) {
  int bytes = 0;
  return ::ioctl(socket, SIOCOUTQNSD, &bytes) == 0 && bytes == 0;
}

}  // namespace

StreamPlaces::Place& StreamPlaces::place_of(mux::StreamId stream) {
  TMX_ASSERT(stream.index < places_.size());
  auto& place = places_[stream.index];
  TMX_ASSERT(place.stream == stream && place.socket && !place.closing);
  return place;
}

// After the entry was prepared.
void StreamPlaces::start_entry(io_uring_sqe* entry, Place& place, Kind kind) {
  io_uring_sqe_set_data64(entry, user_data(kind, place.stream.index, place.stream.generation));
  ++place.under_way;
}

void StreamPlaces::adopt(mux::StreamId stream, shm::UniqueFd socket) {
  if (stream.index >= places_.size()) places_.resize(stream.index + 1);
  auto& place = places_[stream.index];
  TMX_ASSERT(place.under_way == 0 && !place.socket);
  place.stream = stream;
  place.socket = std::move(socket);
  place.closing = false;
}

void StreamPlaces::receive(mux::StreamId stream) { receive(place_of(stream)); }

void StreamPlaces::receive(Place& place) {
  auto* entry = ring_->entry();
  io_uring_prep_recv(entry, place.socket.get(), nullptr, 0, 0);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = ReceiveBuffers::kGroup;
  start_entry(entry, place, Kind::stream_receive);
}

void StreamPlaces::send(mux::StreamId stream, std::span<const std::byte> bytes) {
  auto& place = place_of(stream);
  auto* entry = ring_->entry();
  io_uring_prep_send(entry, place.socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  start_entry(entry, place, Kind::stream_send);
}

void StreamPlaces::watch_hang_up(mux::StreamId stream) { watch_hang_up(place_of(stream)); }

// POLLHUP and POLLERR are always told; POLLRDHUP, too, but again only when something happens, which takes a poll of many
// shots.
void StreamPlaces::watch_hang_up(Place& place) {
  auto* entry = ring_->entry();
  io_uring_prep_poll_multishot(entry, place.socket.get(), 0);
  start_entry(entry, place, Kind::stream_hang_up);
}

void StreamPlaces::close(mux::StreamId stream, bool reset) {
  auto& place = place_of(stream);
  place.closing = true;
  if (reset && all_is_sent(place.socket.get())) {
    // Its failure makes the end no more than less clear.
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    static_cast<void>(::setsockopt(place.socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
  }
  if (place.under_way == 0) return close_further(place);
  auto* entry = ring_->entry();
  io_uring_prep_cancel_fd(entry, place.socket.get(), IORING_ASYNC_CANCEL_ALL);
  start_entry(entry, place, Kind::stream_cancel);
}

// Once nothing is under way.
void StreamPlaces::close_further(Place& place) {
  if (!place.closing || place.under_way > 0 || !place.socket) return;
  auto* entry = ring_->entry();
  io_uring_prep_close(entry, place.socket.release());
  start_entry(entry, place, Kind::stream_close);
}

void StreamPlaces::complete(const Completion& completion, IoEvents& events) {
  auto& place = places_[completion.index];
  TMX_ASSERT(place.under_way > 0);
  if ((completion.flags & IORING_CQE_F_MORE) == 0) --place.under_way;
  const auto stream = place.stream;
  switch (completion.kind) {
    case Kind::stream_receive: complete_receive(place, completion, events); break;
    case Kind::stream_send: events.stream_took(stream, completion.result); break;
    case Kind::stream_hang_up: complete_hang_up(place, completion, events); break;
    case Kind::stream_close: return events.stream_closed(stream);
    default: break;  // a cancel tells nothing by itself
  }
  close_further(places_[completion.index]);
}

void StreamPlaces::complete_hang_up(Place& place, const Completion& completion, IoEvents& events) {
  if (place.closing) return;
  const bool has_failed = completion.result < 0 || (completion.result & POLLERR) != 0;
  if (has_failed || (completion.result & POLLHUP) != 0) {
    events.stream_failed(place.stream, has_failed ? ECONNRESET : EPIPE);
  } else if ((completion.flags & IORING_CQE_F_MORE) == 0) {
    watch_hang_up(place);
  }
}

void StreamPlaces::complete_receive(Place& place, const Completion& completion, IoEvents& events) {
  const bool has_buffer = (completion.flags & IORING_CQE_F_BUFFER) != 0;
  const auto buffer = static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
  const auto stream = place.stream;
  if (completion.result == -ENOBUFS && !place.closing) return receive(place);
  if (!place.closing) {
    if (completion.result >= 0) {
      const auto bytes = static_cast<std::size_t>(completion.result);
      events.stream_received(stream, has_buffer ? buffers_->filled(buffer, bytes) : std::span<std::byte>());
    } else {
      events.stream_failed(stream, -completion.result);
    }
  }
  if (!has_buffer) return;
  // What a process has sent; of a host's bytes, engine/tls wipes what it has opened.
  if (completion.result > 0) shm::wipe(buffers_->filled(buffer, static_cast<std::size_t>(completion.result)));
  buffers_->give_back(buffer);
}

}  // namespace tlsmux::engine::io
