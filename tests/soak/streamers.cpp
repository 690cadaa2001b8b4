// Residents with streams, among everybody's messages or with a session of their own: opens one, exchanges some messages,
// closes it.

#include <algorithm>
#include <random>
#include <string>

#include "tests/host/record.hpp"
#include "tests/soak/resident.hpp"
#include "tests/system/load_client.hpp"
#include "tlsmux/stream.h"

namespace tlsmux::soak {
namespace {

using test::Fate;

constexpr std::uint32_t kTimeoutMs = 1000;
constexpr std::uint32_t kOpenTimeoutMs = 5000;
constexpr std::uint32_t kBytesMin = 32;
constexpr std::uint32_t kBytesMax = 3000;
constexpr unsigned kExchangesMax = 20;  // on one stream

class Streamer final : public Resident {
 public:
  Streamer(const ResidentOrder& order, Board& board)
      : order_(order),
        board_(board),
        deed_(order.trade == Trade::lessee ? Deed::leased_exchanges : Deed::stream_exchanges) {}
  ~Streamer() override { close(); }

  void work() override;
  void rest() override { close(); }

 private:
  bool open();
  void close();
  bool exchange(const std::string& message);
  [[nodiscard]] Fate fate_of_unanswered() const;
  bool read_exactly(char* into, std::size_t bytes);

  ResidentOrder order_;
  Board& board_;
  Deed deed_;
  test::Ledger ledger_{order_.ledger};
  std::mt19937_64 random_{order_.seed ^ order_.client};
  std::uint64_t sequence_ = 0;
  tmx_stream* stream_ = nullptr;
  std::uint64_t left_ = 0;  // exchanges before it is closed
};

void Streamer::work() {
  if (stream_ == nullptr && !open()) return wait_a_moment();
  const auto bytes = kBytesMin + static_cast<std::uint32_t>(random_() % (kBytesMax - kBytesMin));
  const auto message = test::load_message(order_.seed, order_.client, ++sequence_, bytes);
  const bool answered = exchange(message);
  ledger_.add({.sequence = sequence_,
               .client = order_.client,
               .bytes = bytes,
               .hash = host::fnv1a64(message),
               .fate = answered ? Fate::answered : fate_of_unanswered()});
  ledger_.flush();
  if (answered) board_.count(deed_);
  if (!answered || --left_ == 0) close();
}

bool Streamer::open() {
  tmx_stream_options options{};
  options.struct_bytes = sizeof options;
  options.group = order_.group.c_str();
  options.control_socket = order_.control_socket.c_str();
  options.timeout_ms = kOpenTimeoutMs;
  const int error = tmx_stream_open(order_.upstream.c_str(), &options, &stream_);
  if (error == 0) {
    left_ = 1 + random_() % kExchangesMax;
    return tmx_stream_set_timeouts(stream_, kTimeoutMs, kTimeoutMs) == 0;
  }
  stream_ = nullptr;
  const bool is_away = is_passing(error) || error == -ECONNABORTED || error == -EPIPE || error == -ECONNRESET;
  if (!is_away) object("a stream cannot be opened", error);
  return false;
}

void Streamer::close() {
  tmx_stream_close(stream_);
  stream_ = nullptr;
}

bool Streamer::exchange(const std::string& message) {
  const auto length = message.size();
  const auto framed = std::string{static_cast<char>(length >> 8), static_cast<char>(length & 0xff)} + message;
  if (tmx_stream_write(stream_, framed.data(), framed.size()) != static_cast<ssize_t>(framed.size())) return false;
  std::string answer(framed.size(), '\0');
  if (!read_exactly(answer.data(), answer.size())) return false;
  if (answer != framed) object("what a stream gives is not the answer to what it was given");
  return true;
}

bool Streamer::read_exactly(char* into, std::size_t bytes) {
  while (bytes > 0) {
    const auto got = tmx_stream_read(stream_, into, bytes);
    if (got <= 0) return false;
    into += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

Fate Streamer::fate_of_unanswered() const {
  int maybe_sent = 1;
  const auto reason = tmx_stream_reason(stream_, &maybe_sent, nullptr, 0);
  return reason != TMX_REASON_NONE && maybe_sent == 0 ? Fate::not_sent : Fate::maybe_sent;
}

}  // namespace

std::unique_ptr<Resident> make_streamer(const ResidentOrder& order, Board& board) {
  return std::make_unique<Streamer>(order, board);
}

}  // namespace tlsmux::soak
