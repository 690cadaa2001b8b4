#pragma once

// Streams on a multiplexer, in a world that a test moves by hand.

#include <string>
#include <vector>

#include "engine/streams/streams.hpp"
#include "tests/mux/mux_rig.hpp"
#include "tests/support/fake_stream_sockets.hpp"

namespace tlsmux::test {

// What has come down a stream, read as a process does.
struct Heard {
  bool is_opened = false;
  shm::StreamOpened opened;
  std::vector<std::string> certificates;
  std::string data;
  std::size_t records = 0;
  bool is_closed = false;
  bool is_refused = false;
  bool is_lost = false;
  shm::Reason reason = shm::Reason::none;
  bool maybe_sent = false;
  std::string words;
};

class StreamRig {
 public:
  explicit StreamRig(config::Config config);

  struct Who {
    std::uint32_t pid = 100;
    std::uint32_t group = 0;
    std::uint32_t wait_ms = 0;
    bool tells_hang_up = true;
  };
  engine::mux::StreamId open(Who who);
  engine::mux::StreamId open() { return open(Who{}); }
  // A turn of the data loop, without its system calls.
  void turn();
  void advance_ms(std::uint64_t ms);

  // ---- The process. Each is followed by a turn.
  [[nodiscard]] bool is_received(engine::mux::StreamId stream) { return sockets.sockets.at(stream.index).receiving; }
  // Requires that the engine receives.
  void write(engine::mux::StreamId stream, std::string_view bytes);
  void shut_down(engine::mux::StreamId stream) { write(stream, {}); }
  // Takes all that is sent, or no more than so many bytes of it.
  void read(engine::mux::StreamId stream, std::size_t bytes_max = ~std::size_t{0});
  // Its last descriptor is closed.
  void vanish(engine::mux::StreamId stream);
  Heard& heard(engine::mux::StreamId stream) { return heard_[stream.index].heard; }
  // The engine has closed the socket. Tells it so.
  bool is_gone(engine::mux::StreamId stream);
  // The streams that hold anything are these.
  [[nodiscard]] std::size_t count() const { return streams.size(); }

 private:
  struct Down {
    std::vector<std::byte> unread;
    Heard heard;
  };
  class OnlyStreams final : public engine::mux::Callers {
   public:
    explicit OnlyStreams(engine::streams::Streams& streams) : streams_(&streams) {}
    bool take(const engine::mux::Caller& caller) override { return streams_->take(caller); }
    bool still_wanted(const engine::mux::Caller& caller) override { return streams_->still_wanted(caller); }
    std::span<const std::byte> message(const engine::mux::Caller& caller, std::uint32_t length) override {
      return streams_->message(caller, length);
    }
    bool answer(const engine::mux::Caller& caller, std::span<const std::byte> message) override {
      return streams_->answer(caller, message);
    }
    bool refuse(const engine::mux::Caller& caller, const engine::mux::Refusal& refusal) override {
      return streams_->refuse(caller, refusal);
    }
    bool lose(const engine::mux::Caller& caller, shm::Reason reason) override { return streams_->lose(caller, reason); }
    shm::Reason own_reason(const engine::mux::Caller& /*caller*/) override { return shm::Reason::cancelled; }

   private:
    engine::streams::Streams* streams_;
  };

  void take_records(Down& down);

  std::map<std::uint32_t, Down> heard_;

 public:
  FakeStreamSockets sockets;
  engine::streams::Streams streams;
  OnlyStreams callers;
  MuxRig rig;
};

// One stream that is open, on a session that is up.
struct OneStream {
  explicit OneStream(config::Config config, bool tells_hang_up = true);

  void write(std::string_view bytes) { rig.write(stream, bytes); }
  Heard& read() {
    rig.read(stream);
    return rig.heard(stream);
  }
  // What the host has been asked, with all of it accepted by the kernel.
  std::vector<std::string> asked();
  std::string asked_raw();
  // A message, or bytes.
  void answer(std::string_view message);
  void host_says(std::string_view bytes);
  [[nodiscard]] bool is_leased() const { return rig.rig.session(0).is_leased(); }

  StreamRig rig;
  engine::mux::StreamId stream;
};

// For message streams: an upstream that answers in order, or by a key of four bytes.
config::Config in_order();
config::Config by_key(config::StreamOrder order);

// A message as the two-byte length of fifo_config() frames it.
std::string framed(std::string_view message);
std::string framed_all(const std::vector<std::string>& messages);

}  // namespace tlsmux::test
