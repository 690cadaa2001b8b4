#include "tests/streams/stream_rig.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "shm/control_protocol.hpp"

namespace tlsmux::test {

StreamRig::StreamRig(config::Config config)
    : streams(rig.config, rig.mux, sockets, rig.events),
      callers(streams),
      rig(std::move(config), 64 * 1024, {}, {&callers, &streams}) {
  streams.set_time(rig.now_ns);
}

engine::mux::StreamId StreamRig::open(Who who) {
  streams.open({.number = 1,
                .upstream = 0,
                .group = who.group,
                .pid = who.pid,
                .uid = 0,
                .wait_ms = who.wait_ms,
                .tells_hang_up = who.tells_hang_up});
  const auto stream = sockets.last;
  heard_[stream.index] = {};
  turn();
  return stream;
}

void StreamRig::turn() {
  bool again = true;
  while (again) {
    rig.mux.tick();
    streams.tend();
    rig.mux.flush();
    again = streams.tend();
  }
}

void StreamRig::advance_ms(std::uint64_t ms) {
  rig.now_ns += ms * engine::mux::kNanosecondsPerMillisecond;
  rig.mux.set_time(rig.now_ns);
  streams.set_time(rig.now_ns);
  turn();
}

void StreamRig::write(engine::mux::StreamId stream, std::string_view bytes) {
  auto& socket = sockets.open_socket(stream);
  REQUIRE(socket.receiving);
  socket.receiving = false;
  streams.process_sent(stream, std::as_bytes(std::span(bytes)));
  turn();
}

void StreamRig::read(engine::mux::StreamId stream, std::size_t bytes_max) {
  auto& socket = sockets.sockets.at(stream.index);
  auto& down = heard_[stream.index];
  while (socket.sending && bytes_max > 0) {
    const auto taken = socket.sending->first(std::min(bytes_max, socket.sending->size()));
    bytes_max -= taken.size();
    down.unread.insert(down.unread.end(), taken.begin(), taken.end());
    socket.sending.reset();
    streams.socket_took(stream, static_cast<std::int64_t>(taken.size()));
    turn();
  }
  take_records(down);
}

void StreamRig::take_records(Down& down) {
  auto& [unread, heard] = down;
  shm::StreamRecordHeader header;
  while (unread.size() >= sizeof header) {
    std::memcpy(&header, unread.data(), sizeof header);
    const std::size_t bytes = shm::bytes_of(header);
    if (unread.size() - sizeof header < bytes) return;
    const auto body = std::span<const std::byte>(unread).subspan(sizeof header, bytes);
    REQUIRE_FALSE((heard.is_closed || heard.is_refused || heard.is_lost));
    ++heard.records;
    switch (shm::type_of(header)) {
      case shm::StreamRecordType::opened: {
        heard.is_opened = true;
        REQUIRE(body.size() >= sizeof heard.opened);
        std::memcpy(&heard.opened, body.data(), sizeof heard.opened);
        auto rest = body.subspan(sizeof heard.opened);
        for (std::uint32_t i = 0; i < heard.opened.certificates; ++i) {
          std::uint32_t length = 0;
          std::memcpy(&length, rest.data(), sizeof length);
          heard.certificates.push_back(to_text(rest.subspan(sizeof length, length)));
          rest = rest.subspan(sizeof length + length);
        }
        CHECK(rest.empty());
        break;
      }
      case shm::StreamRecordType::data:
        CHECK(body.size() <= shm::kStreamDataBytesMax);
        heard.data += to_text(body);
        break;
      case shm::StreamRecordType::closed: heard.is_closed = true; break;
      case shm::StreamRecordType::lost:
      case shm::StreamRecordType::refused: {
        shm::StreamLost end;
        REQUIRE(body.size() == sizeof end);
        std::memcpy(&end, body.data(), sizeof end);
        (shm::type_of(header) == shm::StreamRecordType::lost ? heard.is_lost : heard.is_refused) = true;
        heard.reason = static_cast<shm::Reason>(end.reason);
        heard.maybe_sent = end.maybe_sent != 0;
        heard.words = shm::text_of(end.text);
        break;
      }
    }
    unread.erase(unread.begin(), unread.begin() + static_cast<std::ptrdiff_t>(sizeof header + bytes));
  }
}

void StreamRig::vanish(engine::mux::StreamId stream) {
  auto& socket = sockets.open_socket(stream);
  if (std::exchange(socket.receiving, false)) streams.process_sent(stream, {});
  if (socket.sending) {
    socket.sending.reset();
    streams.socket_took(stream, -EPIPE);
  }
  turn();
  if (!socket.closing && std::exchange(socket.hang_up_watched, false)) streams.socket_failed(stream, EPIPE);
  turn();
}

bool StreamRig::is_gone(engine::mux::StreamId stream) {
  const auto found = sockets.sockets.find(stream.index);
  if (found == sockets.sockets.end() || !found->second.closing) return false;
  if (found->second.sending) streams.socket_took(stream, -ECANCELED);
  sockets.sockets.erase(found);
  streams.socket_closed(stream);
  turn();
  return true;
}

OneStream::OneStream(config::Config config, bool tells_hang_up) : rig(std::move(config)) {
  rig.rig.bring_up_all();
  rig.turn();
  stream = rig.open({.tells_hang_up = tells_hang_up});
  rig.read(stream);
  REQUIRE(rig.heard(stream).is_opened);
}

std::vector<std::string> OneStream::asked() {
  rig.rig.accept_all(0);
  rig.turn();
  return rig.rig.heard(0);
}

std::string OneStream::asked_raw() {
  rig.rig.accept_all(0);
  rig.turn();
  return rig.rig.heard_raw(0);
}

void OneStream::answer(std::string_view message) {
  rig.rig.say(0, message);
  rig.turn();
}

void OneStream::host_says(std::string_view bytes) {
  rig.rig.say_raw(0, std::as_bytes(std::span(bytes)));
  rig.turn();
}

config::Config in_order() { return fifo_config(); }

config::Config by_key(config::StreamOrder order) {
  auto config = keyed_config();
  config.upstreams[0].streams.order = order;
  return config;
}

std::string framed(std::string_view message) {
  std::string text{static_cast<char>(message.size() >> 8), static_cast<char>(message.size() & 0xff)};
  return text += message;
}

std::string framed_all(const std::vector<std::string>& messages) {
  std::string text;
  for (const auto& message : messages) text += framed(message);
  return text;
}

}  // namespace tlsmux::test
