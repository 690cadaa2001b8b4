#pragma once

// One message stream: cuts what the process writes into messages, asks the multiplexer, and puts the answers into the
// order that the upstream's settings want. STREAMS.md.

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/message/frame_cutter.hpp"
#include "engine/mux/multiplexer.hpp"
#include "engine/streams/stream_output.hpp"
#include "shm/outcome.hpp"

namespace tlsmux::engine::streams {

// Why a stream is over.
struct StreamEnd {
  shm::Reason reason = shm::Reason::none;
  std::string words;
  bool maybe_sent = false;
};

class MessageStream {
 public:
  // In whose name it asks.
  struct Asker {
    mux::StreamId stream;
    std::uint32_t upstream = 0;
    std::uint32_t group = 0;
    std::uint32_t turn = 0;  // mux::NewRequest::client
  };

  // Both outlive it. Of the upstream framing and settings are used, as they are at each moment; the framing must not change
  // while the stream takes bytes.
  MessageStream(const Asker& asker, mux::Multiplexer& multiplexer, StreamOutput& output);

  // What the process has written, cut and asked, or kept until there is room. Not after end().
  void take(std::span<const std::byte> bytes);
  // The process writes no more.
  void finish();
  // Asks what has been kept, as far as there is room for it. True: it did.
  bool ask_kept();
  [[nodiscard]] bool has_room() const { return kept_.empty() && may_ask(); }
  // The queue of the upstream is full, or this process's share of it: the others' requests go first.
  [[nodiscard]] bool is_queueing() const { return !multiplexer_->has_room(asker_.upstream, asker_.group, asker_.turn); }
  // Nothing is asked or kept, and all answers are in the output.
  [[nodiscard]] bool is_idle() const { return kept_.empty() && open_ == 0; }
  [[nodiscard]] bool has_asked() const { return open_ > 0; }

  // Outcomes, as in mux::Callers.
  bool take(const mux::Caller& caller);
  std::span<const std::byte> message(const mux::Caller& caller, std::uint32_t length);
  bool answer(const mux::Caller& caller, std::span<const std::byte> message);
  bool refuse(const mux::Caller& caller, const mux::Refusal& refusal);
  bool lose(const mux::Caller& caller, shm::Reason reason);

  // The stream cannot go on: set by an outcome or by bytes that are no messages.
  [[nodiscard]] const std::optional<StreamEnd>& end() const { return end_; }
  // Abandons all that is open. True: some of it, or of what was lost before, may have been sent, or was answered and not
  // passed on. Not from within an outcome.
  bool give_up();

 private:
  enum class Stage : std::uint8_t { free, asked, answered };
  struct Place {
    Stage stage = Stage::free;
    mux::RequestIndex index = mux::kNone;
    std::vector<std::byte> message;
    std::vector<std::byte> answer;  // framed, until it is its turn
    std::array<std::byte, config::kFramingHeaderBytesMax> header{};
    std::size_t header_bytes = 0;  // that stood before the message
  };
  struct Message {
    std::vector<std::byte> bytes;
    std::vector<std::byte> header;
  };

  void ask(std::span<const std::byte> message, std::span<const std::byte> header);
  [[nodiscard]] bool may_ask() const { return open_ < in_flight_max() && !is_queueing(); }
  std::uint32_t free_place();
  void release(std::uint32_t place);
  Place& place_of(const mux::Caller& caller);
  void pass_on_in_order();
  void fail(shm::Reason reason, std::string words, bool maybe_sent);
  void echo(std::uint64_t keep_alives);
  [[nodiscard]] const mux::Upstream& upstream() const { return *multiplexer_->upstreams()[asker_.upstream]; }
  [[nodiscard]] std::size_t in_flight_max() const { return upstream().settings->streams.in_flight_max; }
  [[nodiscard]] bool is_in_order() const { return order_ == config::StreamOrder::as_asked; }

  Asker asker_;
  mux::Multiplexer* multiplexer_;
  StreamOutput* output_;
  config::StreamOrder order_;
  message::FrameCutter cutter_;
  std::vector<Place> places_;
  std::vector<std::uint32_t> free_;
  std::size_t open_ = 0;             // places in use
  std::deque<std::uint32_t> asked_;  // places in the order of asking, for StreamOrder::as_asked
  std::deque<Message> kept_;
  std::uint64_t count_ = 0;  // messages so far
  std::vector<std::byte> answer_header_;
  std::optional<StreamEnd> end_;
};

// What a caller that is a stream's message bears of its stream.
constexpr std::uint64_t pack(mux::StreamId stream) { return std::uint64_t{stream.generation} << 32 | stream.index; }
constexpr mux::StreamId stream_of(const mux::Caller& caller) {
  return {.index = static_cast<std::uint32_t>(caller.generation),
          .generation = static_cast<std::uint32_t>(caller.generation >> 32)};
}

}  // namespace tlsmux::engine::streams
