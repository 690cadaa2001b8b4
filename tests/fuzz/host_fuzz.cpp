// What a host says on its sessions, and when: answers, true ones, bent ones, of others, twice; messages that nobody has asked
// for; anything that is no message; ends. Each request ends once; an answer is a message that the host has said, for one
// request, with its key; afterwards nothing is held.
#include <array>
#include <cerrno>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/iso8583/iso8583_specs.hpp"
#include "engine/message/iso8583/auto_reply.hpp"
#include "tests/fuzz/choices.hpp"
#include "tests/fuzz/fatal_checks.hpp"
#include "tests/mux/mux_rig.hpp"

using namespace tlsmux;
using Stage = test::FakeNetwork::Stage;

namespace {

enum class Kind : std::uint8_t { fifo, keyed, iso8583, signed_on };
constexpr std::size_t kSessions = 2;
constexpr std::size_t kLengthBytes = 2;
constexpr std::size_t kKeyBytes = 4;
constexpr std::size_t kTraceNumberBytes = 6;
constexpr std::size_t kMessageBytesMax = 200;
constexpr std::string_view kPurchase = "02000020000000800000";  // with the fields 11 and 41
constexpr std::string_view kTerminal = "TERM0001";

config::MessageSettings management(const char* function) {
  return {.mti = "0800",
          .fields = {{7, "{date_time}"}, {11, "{trace_number}"}, {41, std::string(kTerminal)}, {70, function}},
          .expect = {{39, "00"}}};
}

config::Config make_config(Kind kind) {
  auto config = kind == Kind::fifo ? test::fifo_config() : test::keyed_config();
  config.engine.in_flight_max = 12;
  auto& upstream = config.upstreams[0];
  upstream.sessions = kSessions;
  upstream.handshakes_max = kSessions;
  upstream.in_flight_max = 4;
  upstream.queue_max = 6;
  upstream.framing.message_bytes_max = kMessageBytesMax;
  upstream.backoff = {.initial_ms = 100, .max_ms = 400, .jitter_percent = 0};
  if (kind == Kind::keyed) {
    upstream.heartbeat = {.idle_ms = 500, .answer_ms = 200, .misses_max = 2, .keep_alive = true, .message = {}};
  }
  if (kind < Kind::iso8583) return config;
  upstream.correlation.kind = config::CorrelationKind::iso8583;
  upstream.correlation.iso8583.spec = "1987_ascii";
  upstream.auto_replies = {{.mti = "0800", .match = {{70, "301"}}, .set = {{39, "00"}}}};
  if (kind == Kind::signed_on) {
    upstream.sign_on.messages = {management("001")};
    upstream.sign_off.messages = {management("002")};
    upstream.heartbeat = {.idle_ms = 500, .answer_ms = 200, .misses_max = 2, .message = management("301")};
    upstream.rotation.messages_max = 8;
  }
  const auto no_files = [](const std::string&) { return std::unexpected(std::string("is not there")); };
  fuzz::require(config::load_iso8583_specs(config, no_files).empty(), "no specification");
  return config;
}

const config::Config& config_of(Kind kind) {
  static const std::array configs = {make_config(Kind::fifo), make_config(Kind::keyed), make_config(Kind::iso8583),
                                     make_config(Kind::signed_on)};
  return configs.at(static_cast<std::size_t>(kind));
}

class Scene {
 public:
  explicit Scene(Kind kind) : kind_(kind), rig_(config_of(kind)), hosts_(rig_.network.size()) {}

  void step(fuzz::Choices& choices) {
    const auto what = choices.next();
    const std::size_t session = what / 16U % rig_.network.size();
    switch (what % 16) {
      case 0:
      case 1: return ask(choices);
      case 2:
      case 3: return answer(session, choices);
      case 4: return say(session, text_of(choices.take(choices.next() % kMessageBytesMax)));
      case 5: return say_bytes(session, text_of(choices.take(choices.next())));
      case 6: return break_off(session, choices.next());
      case 7: return pass(choices.next() * 20U);
      case 8: return accept(session, choices.next());
      case 9: return end(session, choices.next());
      case 10: return give_up(choices);
      case 11: return reply(choices);
      case 12: rig_.trace_numbers.are_there = !rig_.trace_numbers.are_there; return;
      default: return carry(session);
    }
  }

  void finish() {
    for (int i = 0; i < 40; ++i) {
      for (std::size_t session = 0; session < rig_.network.size(); ++session) go(session);
      rig_.advance_ms(10'000);
    }
    fuzz::require(rig_.is_clean(), "a request is held that has ended");
    for (std::size_t tag = 0; tag < rig_.callers.size(); ++tag) judge(tag);
    for (const auto tag : kept_) {
      fuzz::require(rig_.callers.orphans.contains(tag), "a request of a dead process has no end");
      judge_answer(tag, rig_.callers.orphans[tag]);
    }
    const auto told = answers_ + rig_.notices.late_ones.size() + rig_.notices.unsolicited_ones.size();
    fuzz::require(told <= said_, "more messages than the host has said");
    serve();
  }

 private:
  struct Host {
    std::deque<std::string> heard;  // and not answered
    std::string stream;             // said, and no whole message yet
  };

  static std::string text_of(std::span<const std::uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

  // Few keys, so that the host can mistake them.
  [[nodiscard]] std::string make_request(std::uint8_t how) const {
    const auto number = std::to_string(100'000 + how % 4);
    switch (kind_) {
      case Kind::fifo: return "request " + number;
      case Kind::keyed: return number.substr(number.size() - kKeyBytes) + " request";
      default: return std::string(kPurchase) + number + std::string(kTerminal);
    }
  }

  void ask(fuzz::Choices& choices) {
    const auto how = choices.next();
    auto request = make_request(how);
    if ((how & 32) != 0) choices.bend(std::as_writable_bytes(std::span(request)));
    rig_.ask(request, how / 64 * 500U);
  }

  bool is_open(std::size_t session) { return rig_.session(session).is_open() && stage(session) == Stage::up; }
  Stage stage(std::size_t session) { return rig_.network[session].stage; }

  // All that is under way arrives, or a connection is made.
  void carry(std::size_t session) {
    if (stage(session) == Stage::connecting) {
      hosts_[session] = {};
      return rig_.bring_up(session);
    }
    if (stage(session) == Stage::closing) return rig_.finish_close(session);
    rig_.advance_ns(0);
    rig_.accept_all(session);
    if (!is_open(session)) return;
    for (auto& message : rig_.heard(session)) hosts_[session].heard.push_back(std::move(message));
  }

  [[nodiscard]] std::string answer_to(const std::string& request, const char* code) const {
    if (kind_ < Kind::iso8583 || request.size() < 4) return request;
    if (!request.starts_with("0800")) return request.substr(0, 2) + "1" + request.substr(3);
    const engine::message::iso8583::AutoReply reply(rig_.config.upstreams[0].correlation.iso8583,
                                                    {.mti = "0800", .match = {}, .set = {{39, code}}});
    std::string answer(kMessageBytesMax, '\0');
    const auto length = reply.reply(std::as_bytes(std::span(request)), std::as_writable_bytes(std::span(answer)));
    return length ? answer.substr(0, *length) : request;
  }

  void answer(std::size_t session, fuzz::Choices& choices) {
    carry(session);
    auto& heard = hosts_[session].heard;
    if (heard.empty()) return;
    const auto how = choices.next();
    auto& request = (how & 1) != 0 ? heard.back() : heard.front();
    auto answer = answer_to(request, (how & 2) != 0 ? "05" : "00");
    if ((how & 4) == 0) (how & 1) != 0 ? heard.pop_back() : heard.pop_front();  // else once more, later
    if ((how & 8) != 0) choices.bend(std::as_writable_bytes(std::span(answer)));
    if ((how & 16) != 0) answer.resize(choices.next() % (answer.size() + 1));
    say((how & 32) != 0 ? choices.next() % rig_.network.size() : session, answer);
  }

  void say(std::size_t session, std::string_view message) {
    std::string bytes{static_cast<char>(message.size() >> 8), static_cast<char>(message.size())};
    bytes += message;
    say_bytes(session, bytes);
  }
  void say_bytes(std::size_t session, const std::string& bytes) {
    if (!is_open(session)) return;
    auto& stream = hosts_[session].stream;
    stream += bytes;
    while (stream.size() >= kLengthBytes) {
      const auto length =
          static_cast<std::size_t>(static_cast<std::uint8_t>(stream[0])) << 8 | static_cast<std::uint8_t>(stream[1]);
      if (length > kMessageBytesMax || stream.size() < kLengthBytes + length) break;
      ++said_;
      ++unanswered_[stream.substr(kLengthBytes, length)];
      stream.erase(0, kLengthBytes + length);
    }
    rig_.say_raw(session, test::to_bytes(bytes));
    rig_.mux.flush();
  }

  // No record, or the last one.
  void break_off(std::size_t session, std::uint8_t how) {
    if (!is_open(session)) return;
    if (how % 2 == 0) return rig_.say_close_notify(session);
    rig_.receive(session, {std::byte{how}, std::byte{0xff}, std::byte{0xff}, std::byte{how}, std::byte{0}});
  }

  void pass(std::uint64_t ms) { rig_.advance_ms(ms); }

  void accept(std::size_t session, std::uint8_t count) {
    const auto& sending = rig_.network[session].sending;
    if (sending && stage(session) == Stage::up) rig_.accept(session, 1 + count % sending->size());
  }

  void end(std::size_t session, std::uint8_t how) {
    if (stage(session) == Stage::connecting && how % 4 == 0) return refuse(session);
    if (stage(session) != Stage::up) return carry(session);
    if (how % 4 == 1 && rig_.network[session].sending) return rig_.fail_send(session, EPIPE);
    rig_.lose(session, how % 4 == 2 ? ECONNRESET : 0);
  }

  void refuse(std::size_t session) {
    rig_.connect(session, ECONNREFUSED);
    if (stage(session) == Stage::closing) rig_.finish_close(session);
  }

  void go(std::size_t session) {
    switch (stage(session)) {
      case Stage::connecting: return refuse(session);
      case Stage::up: return rig_.lose(session);
      case Stage::closing: return rig_.finish_close(session);
      case Stage::none: return;
    }
  }

  // A caller changes its mind, or dies.
  void give_up(fuzz::Choices& choices) {
    if (rig_.callers.size() == 0) return;
    const std::size_t tag = choices.next() % rig_.callers.size();
    auto& request = rig_.callers[tag];
    if (request.returned || kept_.contains(tag) || replies_.contains(tag)) return;
    switch (choices.next() % 3) {
      case 0: rig_.callers.withdraw(tag); return;
      case 1: rig_.callers.expire(tag); return;
      default: break;
    }
    using State = test::FakeCallers::State;
    if (request.state != State::queued && request.state != State::sending) return;
    kept_.insert(tag);
    rig_.orphan(tag, tag);
  }

  void reply(fuzz::Choices& choices) {
    const auto how = choices.next();
    const auto& asked = rig_.notices.unsolicited_ones;
    const auto notice = asked.empty() || how >= 128 ? how : asked[how % asked.size()].notice;
    const auto words = asked.empty() ? std::string() : answer_to(asked.back().message, "00");
    replies_.insert(rig_.reply(notice, words.empty() ? "nothing" : words, how % 2 * 500U));
  }

  // From now on the host is as it should be, for a while.
  void behave(std::uint64_t ms) {
    for (std::size_t session = 0; session < rig_.network.size(); ++session) {
      carry(session);
      for (const auto& request : std::exchange(hosts_[session].heard, {})) say(session, answer_to(request, "00"));
    }
    rig_.advance_ms(ms);
  }

  // Each key is free again, and no place is lost.
  void serve() {
    rig_.trace_numbers.are_there = true;
    for (int i = 0; i < 100 && rig_.count(shm::SessionState::ready) == 0; ++i) behave(100);
    std::vector<std::uint64_t> tags;
    for (std::uint8_t how = 0; how < 4; ++how) tags.push_back(rig_.ask(make_request(how)));
    for (int i = 0; i < 10; ++i) behave(10);
    for (const auto tag : tags) {
      fuzz::require(rig_.outcome(tag).starts_with("answered "), "a request is not served any more");
    }
  }

  void judge(std::size_t tag) {
    if (kept_.contains(tag)) return;
    fuzz::require(rig_.callers[tag].returned, "a request has no end");
    judge_answer(tag, rig_.outcome(tag));
  }
  void judge_answer(std::size_t tag, std::string_view outcome) {
    constexpr std::string_view kAnswered = "answered ";
    if (!outcome.starts_with(kAnswered)) return;
    const std::string answer(outcome.substr(kAnswered.size()));
    ++answers_;
    fuzz::require(unanswered_[answer]-- > 0, "an answer that the host has not said, or not so often");
    const auto request = test::to_text(rig_.callers[tag].message);
    if (kind_ == Kind::keyed) {
      fuzz::require(answer.substr(0, kKeyBytes) == request.substr(0, kKeyBytes), "another request's answer");
    }
    if (kind_ >= Kind::iso8583 && request.starts_with(kPurchase)) {
      const auto trace_number = request.substr(kPurchase.size(), kTraceNumberBytes);
      const bool is_bent = trace_number.find_first_not_of("0123456789") != std::string::npos;
      fuzz::require(is_bent || answer.contains(trace_number), "another request's answer");
    }
  }

  Kind kind_;
  test::MuxRig rig_;
  std::vector<Host> hosts_;
  std::map<std::string, int> unanswered_;  // said, and no answer to any request yet
  std::set<std::size_t> kept_;             // requests of the dead, which keep themselves
  std::set<std::size_t> replies_;          // these are none
  std::size_t said_ = 0;
  std::size_t answers_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::make_checks_fatal();
  fuzz::Choices choices({data, size});
  Scene scene(static_cast<Kind>(choices.next() % 4));
  for (int count = 0; count < 128 && !choices.empty(); ++count) scene.step(choices);
  scene.finish();
  return 0;
}
