#pragma once

// All streams of a shard. A place is used again when its socket is closed; the generation in an id tells its users apart.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/mux/ids.hpp"
#include "engine/streams/leased_stream.hpp"
#include "engine/streams/message_stream.hpp"
#include "engine/streams/process_numbers.hpp"
#include "engine/streams/stream_output.hpp"

namespace tlsmux::engine::streams {

enum class StreamStage : std::uint8_t {
  waiting,  // for a session
  open,
  ending,   // all has been said, and waits to be read; what the process still writes is dropped
  closing,  // its socket is being closed
};

struct Stream {
  mux::StreamId id;
  std::uint64_t number = 0;
  std::uint32_t upstream = 0;
  ProcessNumbers::Process process;
  std::uint32_t turn = 0;
  bool is_leased = false;
  bool tells_hang_up = true;
  bool believes_half_close = false;
  StreamStage stage = StreamStage::waiting;
  std::uint64_t wait_ends_ns = 0;          // of a message stream that waits
  std::uint64_t probe_due_ns = 0;          // when its process must show again that it is there; 0: it need not
  std::optional<shm::Reason> leaves_with;  // takes no more: it is over, with this reason, when nothing is in flight
  StreamOutput output;
  std::unique_ptr<MessageStream> messages;  // of one that is open, one or the other
  std::unique_ptr<LeasedStream> lease;
  bool has_asked_lease = false;  // and it has been neither refused nor lost
  bool receiving = false;
  bool sending = false;
  bool process_finished = false;  // it writes no more
  bool is_broken = false;         // its socket
  bool has_read_all = true;       // its process: false when that is known not to be so
  bool is_cut_off = false;        // its end is no orderly one
  bool is_marked = false;         // to be tended
};

class StreamTable {
 public:
  Stream& add();
  void remove(Stream& stream);
  // Null when it is gone.
  [[nodiscard]] Stream* find(mux::StreamId id) const {
    if (id.index >= places_.size() || places_[id.index].stream == nullptr) return nullptr;
    auto* const stream = places_[id.index].stream.get();
    return stream->id == id ? stream : nullptr;
  }

  template <typename Visit>
  void for_each(Visit visit) {
    for (auto& place : places_) {
      if (place.stream != nullptr) visit(*place.stream);
    }
  }
  [[nodiscard]] std::size_t size() const { return places_.size() - free_.size(); }

 private:
  struct Place {
    std::uint32_t generation = 0;
    std::unique_ptr<Stream> stream;
  };
  std::vector<Place> places_;
  std::vector<std::uint32_t> free_;
};

inline Stream& StreamTable::add() {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(places_.size()));
    places_.emplace_back();
  }
  const auto index = free_.back();
  free_.pop_back();
  auto& place = places_[index];
  place.stream = std::make_unique<Stream>();
  place.stream->id = {.index = index, .generation = ++place.generation};
  return *place.stream;
}

inline void StreamTable::remove(Stream& stream) {
  const auto index = stream.id.index;
  places_[index].stream.reset();
  free_.push_back(index);
}

}  // namespace tlsmux::engine::streams
