// Residents that ask with tmx_call: keyed messages, and ISO 8583.

#include <algorithm>
#include <chrono>
#include <random>
#include <vector>

#include "tests/demo/purchase.hpp"
#include "tests/host/record.hpp"
#include "tests/soak/resident.hpp"
#include "tests/soak/settlement.hpp"
#include "tests/system/load_client.hpp"

namespace tlsmux::soak {
namespace {

using Clock = std::chrono::steady_clock;
using test::Fate;

constexpr std::uint32_t kTimeoutMs = 1000;
constexpr std::uint32_t kBytesMin = 32;
constexpr std::uint32_t kBytesMax = 3000;

class Caller : public Resident {
 public:
  Caller(const ResidentOrder& order, Board& board)
      : order_(order), board_(board), attachment_(order), channel_(attachment_.open_channel(order.upstream)) {}

 protected:
  // Asks once, and writes down what became of it. The answer, if there is one.
  std::string_view ask(const std::string& request, std::uint32_t client, std::uint64_t sequence);
  void count(Deed deed) { board_.count(deed); }
  [[nodiscard]] const ResidentOrder& order() const { return order_; }

 private:
  ResidentOrder order_;
  Board& board_;
  Attachment attachment_;
  tmx_channel* channel_;
  test::Ledger ledger_{order_.ledger};
  std::vector<char> answer_ = std::vector<char>(65536);
};

std::string_view Caller::ask(const std::string& request, std::uint32_t client, std::uint64_t sequence) {
  tmx_result result{};
  const auto begun = Clock::now();
  const int error = tmx_call(channel_, request.data(), static_cast<std::uint32_t>(request.size()), answer_.data(),
                             static_cast<std::uint32_t>(answer_.size()), kTimeoutMs, &result);
  const auto took = Clock::now() - begun;
  if (error != 0 && !is_passing(error)) object("tmx_call failed", error);
  const auto fate = error != 0 ? Fate::not_submitted : static_cast<Fate>(result.outcome);
  ledger_.add({.sequence = sequence,
               .client = client,
               .bytes = static_cast<std::uint32_t>(request.size()),
               .hash = host::fnv1a64(request),
               .fate = fate,
               .reason = static_cast<std::uint16_t>(error != 0 ? 0 : result.reason)});
  ledger_.flush();
  if (fate != Fate::answered) {
    if (fate != Fate::maybe_sent) wait_a_moment();
    return {};
  }
  board_.add_latency(static_cast<std::uint64_t>(std::chrono::nanoseconds(took).count()));
  return {answer_.data(), result.length};
}

class KeyedCaller final : public Caller {
 public:
  using Caller::Caller;

  void work() override {
    const auto bytes = kBytesMin + static_cast<std::uint32_t>(random_() % (kBytesMax - kBytesMin));
    const auto message = test::load_message(order().seed, order().client, ++sequence_, bytes);
    const auto answer = ask(message, order().client, sequence_);
    if (answer.empty()) return;
    if (answer != message) object("an answer is not that to the request");
    count(Deed::calls);
  }

 private:
  std::mt19937_64 random_{order().seed ^ order().client};
  std::uint64_t sequence_ = 0;
};

class Iso8583Caller final : public Caller {
 public:
  using Caller::Caller;

  void work() override {
    const demo::RequestId id{.authorizer = order().client - kIsoClients, .request = next_++ % demo::kRequestsMax};
    const auto answer = ask(demo::build_request(id, {}), order().client, id.request);
    if (answer.empty()) return;
    const auto wrong = demo::what_is_wrong_with(answer, id);
    if (!wrong.empty()) object("an answer in ISO 8583 is wrong: " + wrong);
    count(Deed::iso8583_calls);
  }

 private:
  std::uint32_t next_ = 0;
};

}  // namespace

std::unique_ptr<Resident> make_caller(const ResidentOrder& order, Board& board) {
  return std::make_unique<KeyedCaller>(order, board);
}

std::unique_ptr<Resident> make_iso8583_caller(const ResidentOrder& order, Board& board) {
  return std::make_unique<Iso8583Caller>(order, board);
}

}  // namespace tlsmux::soak
