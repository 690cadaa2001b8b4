#pragma once

// One process with streams: opens them, writes messages in pieces, reads or does not, says that it writes no more, closes,
// or dies, at any moment.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "tests/simulation/engine_process.hpp"
#include "tests/simulation/stream_pipe.hpp"

namespace tlsmux::simulation {

class StreamProcess {
 public:
  // Numbers are never used again.
  StreamProcess(Context& context, std::uint32_t number, std::uint32_t group)
      : context_(context), number_(number), group_(group) {}

  // One step of the process, with the engine that runs now, if any. False: it waits.
  bool step(EngineProcess* present);
  [[nodiscard]] bool is_dead() const { return is_dead_; }
  // Its engine is dead, and all streams with it.
  void engine_died();

  // Opens nothing more, and brings what it has to its end.
  void finish();
  // One stream with a few messages, which must be answered.
  void probe(EngineProcess& engine, std::uint32_t upstream) { open(engine, upstream, true); }
  [[nodiscard]] std::uint32_t group() const { return group_; }
  [[nodiscard]] bool is_idle() const { return streams_.empty(); }
  // When it does something by itself; 0: never.
  [[nodiscard]] std::uint64_t next_due_ns() const;

 private:
  struct Stream {
    std::uint64_t number = 0;
    std::uint32_t upstream = 0;
    std::shared_ptr<StreamPipe> pipe;
    std::vector<std::byte> unsent;     // of the message that it writes
    std::vector<std::uint64_t> asked;  // of a message stream
    std::uint64_t messages_left = 0;
    bool must_succeed = false;
    bool shuts_down = false;  // when it has written all; else it closes when it has all answers
    bool is_reading = true;
    std::uint64_t gives_up_ns = 0;
  };

  void open(EngineProcess& engine, std::uint32_t upstream, bool must_succeed);
  bool step_stream(Stream& stream);
  bool misbehave(Stream& stream);
  bool write(Stream& stream);
  bool read(Stream& stream);
  bool end(Stream& stream);
  void compose(Stream& stream);
  void compose_request(Stream& stream);
  void compose_leased(Stream& stream);
  void close(Stream& stream);
  [[nodiscard]] bool has_written_all(const Stream& stream) const {
    return stream.messages_left == 0 && stream.unsent.empty();
  }

  Context& context_;
  std::uint32_t number_;
  std::uint32_t group_;
  std::uint64_t engine_number_ = 0;
  std::vector<Stream> streams_;
  bool is_dead_ = false;
  bool is_finishing_ = false;
};

}  // namespace tlsmux::simulation
