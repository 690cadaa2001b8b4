#include "tests/simulation/stream_process.hpp"

#include <algorithm>
#include <utility>

#include "config/leases.hpp"
#include "tests/simulation/http_text.hpp"
#include "tests/simulation/message.hpp"

namespace tlsmux::simulation {

namespace {

constexpr std::size_t kStreamsMax = 5;
constexpr std::uint64_t kPatienceNs = 1'000'000'000;  // in the end, where a host may have lied

}  // namespace

bool StreamProcess::step(EngineProcess* present) {
  auto& random = context_.random;
  if (is_dead_) return false;
  if (!streams_.empty() && context_.strikes(Fault::stream_dies)) {
    context_.trace("process " + std::to_string(number_) + " with streams dies");
    for (auto& stream : streams_) close(stream);
    streams_.clear();
    is_dead_ = true;
    return true;
  }
  if (present != nullptr && !is_finishing_ && streams_.size() < kStreamsMax && random.below(3) == 0) {
    open(*present, static_cast<std::uint32_t>(random.below(context_.config.upstreams.size())), false);
    return true;
  }
  if (streams_.empty()) return false;
  const auto first = random.below(streams_.size());
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    auto& stream = streams_[(first + i) % streams_.size()];
    const bool any = step_stream(stream);
    std::erase_if(streams_, [](const Stream& each) { return each.pipe->process_closed; });
    if (any) return true;
    if (streams_.empty()) return false;
  }
  return false;
}

void StreamProcess::open(EngineProcess& engine, std::uint32_t upstream, bool must_succeed) {
  auto& random = context_.random;
  engine_number_ = engine.number();
  auto& stream = streams_.emplace_back();
  stream.upstream = upstream;
  stream.pipe = std::make_shared<StreamPipe>();
  stream.pipe->tells_hang_up = must_succeed || random.below(4) != 0;
  stream.pipe->room_bytes = context_.strikes(Fault::small_window) ? random.between(1, 200) : 16 * 1024;
  stream.messages_left = must_succeed ? random.between(1, 3) : random.below(8);
  stream.shuts_down = random.below(2) == 0;
  stream.must_succeed = must_succeed;
  stream.number = context_.streams.open({.upstream = upstream,
                                         .group = group_,
                                         .engine = engine_number_,
                                         .tells_hang_up = stream.pipe->tells_hang_up,
                                         .must_succeed = must_succeed});
  stream.pipe->stream = stream.number;
  stream.pipe->is_decided = !context_.is_fickle(upstream);
  if (stream.pipe->is_decided) context_.streams.decide(stream.number, context_.upstream(upstream));
  context_.trace("process " + std::to_string(number_) + " opens stream " + std::to_string(stream.number) +
                 (stream.pipe->tells_hang_up ? "" : " by TCP") + " to upstream " + std::to_string(upstream));
  const auto wait_ms = must_succeed ? 100'000 : random.below(2) * random.between(1, 100);
  engine.open_stream({.pid = number_,
                      .group = group_,
                      .upstream = upstream,
                      .wait_ms = static_cast<std::uint32_t>(wait_ms),
                      .pipe = stream.pipe});
}

void StreamProcess::engine_died() {
  for (auto& stream : streams_) {
    stream.pipe->engine_closed = true;
    context_.streams.engine_died(stream.number);
  }
}

void StreamProcess::finish() {
  is_finishing_ = true;
  for (auto& stream : streams_) {
    stream.messages_left = 0;
    stream.gives_up_ns = context_.now_ns + kPatienceNs;
  }
}

std::uint64_t StreamProcess::next_due_ns() const {
  std::uint64_t earliest = 0;
  for (const auto& stream : streams_) {
    const auto due = stream.gives_up_ns;
    if (due != 0 && (earliest == 0 || due < earliest)) earliest = due;
  }
  return earliest;
}

// ---- One stream ----

bool StreamProcess::step_stream(Stream& stream) {
  if (misbehave(stream)) return true;
  const bool writes_first = context_.random.below(2) == 0;
  if (writes_first && write(stream)) return true;
  return read(stream) || write(stream) || end(stream);
}

bool StreamProcess::misbehave(Stream& stream) {
  if (context_.strikes(Fault::stream_closes)) {
    close(stream);
    return true;
  }
  if (!context_.strikes(Fault::stream_stops_reading)) return false;
  stream.is_reading = !stream.is_reading;
  return true;
}

bool StreamProcess::write(Stream& stream) {
  auto& pipe = *stream.pipe;
  if (!pipe.is_decided || pipe.engine_closed || pipe.process_finished || context_.streams.is_over(stream.number))
    return false;
  if (stream.unsent.empty()) {
    if (stream.messages_left == 0) return false;
    // Several at one time may be too many for the queue.
    if (stream.must_succeed && !context_.streams.is_satisfied(stream.number)) return false;
    --stream.messages_left;
    compose(stream);
  }
  if (pipe.up.size() >= pipe.room_bytes) return false;
  const auto most = std::min(stream.unsent.size(), pipe.room_bytes - pipe.up.size());
  const auto count = context_.strikes(Fault::partial_io) ? context_.random.piece(most) : most;
  pipe.up.insert(pipe.up.end(), stream.unsent.begin(), stream.unsent.begin() + static_cast<std::ptrdiff_t>(count));
  stream.unsent.erase(stream.unsent.begin(), stream.unsent.begin() + static_cast<std::ptrdiff_t>(count));
  return true;
}

bool StreamProcess::read(Stream& stream) {
  auto& pipe = *stream.pipe;
  if (context_.faults.none()) stream.is_reading = true;
  if (pipe.down == 0 || !stream.is_reading) return false;
  pipe.down -= context_.strikes(Fault::partial_io) ? context_.random.piece(pipe.down) : pipe.down;
  return true;
}

// It has nothing more to do, or there is no more to do for it.
bool StreamProcess::end(Stream& stream) {
  auto& pipe = *stream.pipe;
  const auto& streams = context_.streams;
  const bool has_read_all = pipe.down == 0;
  const bool is_over = streams.is_over(stream.number) || pipe.engine_closed;
  const bool has_all = has_written_all(stream) && streams.is_satisfied(stream.number);
  const bool may_shut_down = has_written_all(stream) && stream.shuts_down && !pipe.process_finished;
  if (may_shut_down && !is_over) {
    context_.trace("stream " + std::to_string(stream.number) + " writes no more");
    pipe.process_finished = true;
    context_.streams.finished(stream.number);
    return true;
  }
  // Without messages nobody else can know that all is said.
  const bool waits_for_word =
      stream.shuts_down && context_.upstream(stream.upstream).framing.kind != config::FramingKind::none;
  const bool is_tired = stream.gives_up_ns != 0 && context_.now_ns >= stream.gives_up_ns;
  if ((is_over && has_read_all) || (has_all && has_read_all && !waits_for_word) || is_tired) {
    close(stream);
    return true;
  }
  return false;
}

void StreamProcess::close(Stream& stream) {
  auto& pipe = *stream.pipe;
  context_.trace("stream " + std::to_string(stream.number) + " is closed by its process");
  pipe.is_reset = pipe.down > 0;
  pipe.process_closed = true;
  context_.streams.left(stream.number);
}

// ---- What it writes ----

void StreamProcess::compose(Stream& stream) {
  context_.streams.is_leased(stream.number) ? compose_leased(stream) : compose_request(stream);
}

void StreamProcess::compose_request(Stream& stream) {
  auto& random = context_.random;
  const auto& settings = context_.upstream(stream.upstream);
  const bool in_order = context_.in_order(stream.upstream);
  const std::size_t key_offset = settings.correlation.offset;
  const std::uint64_t shortest = key_offset + kRequestBytesMin;
  const std::uint64_t longest = settings.framing.message_bytes_max;
  const auto next = context_.ledger.size() + 1;
  RequestText text{.number = next,
                   .key = next,
                   .key_offset = key_offset,
                   .length = random.between(shortest, std::min(longest, shortest + 200))};
  if (random.chance(50)) text.length = random.between(shortest, longest);
  const bool may_repeat =
      !in_order && !stream.must_succeed && context_.faults[Fault::duplicate] == 0 && !stream.asked.empty();
  if (may_repeat && context_.strikes(Fault::duplicate_key)) text.key = random.pick(stream.asked);
  const auto number = context_.ledger.submit({.client = asker_of(stream.number),
                                              .group = group_,
                                              .engine = engine_number_,
                                              .upstream = stream.upstream,
                                              .in_order = in_order,
                                              .key = text.key,
                                              .key_offset = key_offset,
                                              .length = text.length,
                                              .must_be_answered = stream.must_succeed,
                                              .is_of_stream = true});
  stream.asked.push_back(number);
  const auto& framing = context_.streams.framing(stream.number);
  std::vector<std::byte> message(text.length);
  write_request(message, text);
  stream.unsent.resize(framing.header_bytes());
  framing.write_header(stream.unsent, message.size());
  stream.unsent.insert(stream.unsent.end(), message.begin(), message.end());
  context_.streams.composed(stream.number, number, stream.unsent);
}

void StreamProcess::compose_leased(Stream& stream) {
  auto& random = context_.random;
  const auto& settings = context_.upstream(stream.upstream).framing;
  const auto number = ++context_.last_leased_message;
  if (settings.kind == config::FramingKind::http1) {
    stream.unsent = make_http_request(random, number, stream.messages_left == 0);
  } else {
    const auto longest = std::min<std::uint64_t>(settings.message_bytes_max, random.below(8) == 0 ? 20'000 : 300);
    const RequestText text{
        .number = number, .key = number, .key_offset = 0, .length = random.between(kRequestBytesMin, longest)};
    std::vector<std::byte> message(text.length);
    write_request(message, text);
    if (config::cuts_messages(settings.kind)) {
      const auto& framing = context_.streams.framing(stream.number);
      stream.unsent.resize(framing.header_bytes());
      framing.write_header(stream.unsent, message.size());
    }
    stream.unsent.insert(stream.unsent.end(), message.begin(), message.end());
  }
  context_.streams.composed(stream.number, 0, stream.unsent);
}

}  // namespace tlsmux::simulation
