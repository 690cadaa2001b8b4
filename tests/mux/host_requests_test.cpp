// What hosts send unasked, and the replies to it: on the session it came on or nowhere, judged by the bytes that the
// kernel accepted.
#include <doctest/doctest.h>

#include <algorithm>

#include "config/limits.hpp"
#include "tests/mux/mux_rig.hpp"
#include "tests/mux/scripted_tls.hpp"

using namespace tlsmux;
using test::MuxRig;

namespace {

// A message of the host that answers nothing; the number by which it is replied to.
std::uint64_t host_asks(MuxRig& rig, std::string_view message = "9999 echo", std::size_t session = 0) {
  const auto before = rig.notices.unsolicited_ones.size();
  rig.say(session, message);
  REQUIRE(rig.notices.unsolicited_ones.size() == before + 1);
  CHECK(rig.notices.unsolicited_ones.back().message == message);
  return rig.notices.unsolicited_ones.back().notice;
}

enum class Loss : std::uint8_t { send_fails, host_closes, stalls };

std::string lose_session(MuxRig& rig, Loss loss) {
  if (!rig.network[0].sending) loss = Loss::host_closes;
  switch (loss) {
    case Loss::send_fails:
      rig.fail_send(0, EPIPE);
      rig.finish_close(0);
      return "connection_lost";
    case Loss::stalls:
      rig.advance_ms(rig.config.upstreams[0].timeouts.write_stall_ms);
      rig.finish_close(0);
      return "write_stalled";
    case Loss::host_closes: break;
  }
  rig.lose(0);
  return "host_closed";
}

// One record for each: the second is sealed while the first is being sent.
constexpr std::size_t kFirstEnd = test::kPlainHeaderBytes + 2 + 8;
constexpr std::size_t kSecondEnd = kFirstEnd + test::kPlainHeaderBytes + 2 + 9;

std::string expected(std::size_t accepted, std::size_t begin, std::size_t end, const std::string& reason) {
  if (accepted >= end) return "maybe_sent reply_sent";
  return (accepted > begin ? "maybe_sent " : "not_sent ") + reason;
}

void check_loss(std::size_t accepted, std::size_t step, Loss loss) {
  CAPTURE(accepted);
  CAPTURE(step);
  CAPTURE(static_cast<int>(loss));
  auto config = test::keyed_config();
  config.upstreams[0].timeouts.request_ms = 1'000'000;
  MuxRig rig(config);
  rig.bring_up(0);
  const auto one = host_asks(rig);
  const auto other = host_asks(rig);
  const auto first = rig.reply(one, "9999 one");
  const auto second = rig.reply(other, "9999 othe");
  for (auto left = accepted; left > 0;) {
    REQUIRE(rig.network[0].sending.has_value());
    const auto count = std::min({left, step, rig.network[0].sending->size()});
    rig.accept(0, count);
    left -= count;
    // Told at the last byte, and not before.
    CHECK((rig.outcome(first) == "maybe_sent reply_sent") == (accepted - left >= kFirstEnd));
    CHECK((rig.outcome(second) == "maybe_sent reply_sent") == (accepted - left >= kSecondEnd));
  }
  const auto reason = lose_session(rig, loss);
  CHECK(rig.outcome(first) == expected(accepted, 0, kFirstEnd, reason));
  CHECK(rig.outcome(second) == expected(accepted, kFirstEnd, kSecondEnd, reason));
  CHECK(rig.is_clean());
  rig.advance_to_due();
  rig.bring_up(0);
  CHECK(rig.heard(0).empty());  // never moved
}

}  // namespace

TEST_CASE("outcome.replies at every byte of the wire, by every loss and every size of send") {
  for (std::size_t accepted = 0; accepted <= kSecondEnd; ++accepted) {
    for (const auto loss : {Loss::send_fails, Loss::host_closes, Loss::stalls}) {
      for (const std::size_t step : {1U, 7U, 1000U}) check_loss(accepted, step, loss);
    }
  }
}

TEST_CASE("outcome.a reply's last byte may be accepted while the session ends") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto tag = rig.reply(host_asks(rig), "9999 one");
  rig.mux.ended(rig.network[0].id, 0);
  CHECK(rig.outcome(tag) == "open");
  SUBCASE("all of it") {
    rig.finish_close(0, kFirstEnd);
    CHECK(rig.outcome(tag) == "maybe_sent reply_sent");
  }
  SUBCASE("a part of it") {
    rig.finish_close(0, kFirstEnd - 1);
    CHECK(rig.outcome(tag) == "maybe_sent host_closed");
  }
  SUBCASE("none") {
    rig.finish_close(0);
    CHECK(rig.outcome(tag) == "not_sent host_closed");
  }
  CHECK(rig.is_clean());
}

TEST_CASE("outcome.what TLS says of its own before a reply's record is none of the reply") {
  for (const bool is_begun : {false, true}) {
    CAPTURE(is_begun);
    MuxRig rig(test::keyed_config());
    test::TlsScript script;
    test::bring_up_scripted(rig, 0, script);
    const auto notice = host_asks(rig);
    script.says_something_first = true;
    const auto tag = rig.reply(notice, "9999 one");
    rig.accept(0, test::kPlainHeaderBytes + (is_begun ? 1 : 0));
    rig.fail_send(0, ECONNRESET);
    rig.finish_close(0);
    CHECK(rig.outcome(tag) == (is_begun ? "maybe_sent connection_lost" : "not_sent connection_lost"));
  }
}

TEST_CASE("outcome.a reply goes out on the session that brought the message") {
  auto config = test::keyed_config();
  config.upstreams[0].sessions = 2;
  MuxRig rig(config);
  rig.bring_up_all();
  const auto notice = host_asks(rig, "9999 echo", 1);
  SUBCASE("that is up") {
    rig.reply(notice, "9999 done");
    CHECK_FALSE(rig.network[0].sending.has_value());
    rig.accept_all(1);
    CHECK(rig.heard(1) == std::vector<std::string>{"9999 done"});
  }
  SUBCASE("that is gone: it is not sent anywhere") {
    rig.lose(1);
    CHECK(rig.outcome(rig.reply(notice, "9999 done")) == "not_sent no_session");
    CHECK_FALSE(rig.network[0].sending.has_value());
  }
  CHECK(rig.is_clean());
}

TEST_CASE("outcome.each message of the host is replied to once, and only while it is remembered") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto notice = host_asks(rig);
  CHECK(rig.outcome(rig.reply(0, "9999 none")) == "not_sent no_session");
  CHECK(rig.outcome(rig.reply(notice + 1, "9999 none")) == "not_sent no_session");
  const auto tag = rig.reply(notice, "9999 one");
  CHECK(rig.outcome(rig.reply(notice, "9999 two")) == "not_sent duplicate_key");
  rig.accept_all(0);
  CHECK(rig.outcome(tag) == "maybe_sent reply_sent");
  CHECK(rig.outcome(rig.reply(notice, "9999 two")) == "not_sent duplicate_key");
  const auto old = host_asks(rig);
  for (std::uint32_t i = 0; i < config::kHostRequestsKept; ++i) host_asks(rig);
  CHECK(rig.outcome(rig.reply(old, "9999 late")) == "not_sent no_session");
  CHECK(rig.heard(0) == std::vector<std::string>{"9999 one"});
}

TEST_CASE("outcome.replies wait for room, and go before new requests") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto one = host_asks(rig);
  const auto other = host_asks(rig);
  const std::string large = "9999" + std::string(40'000, 'x');
  const auto first = rig.reply(one, large);
  const auto second = rig.reply(other, large);
  const auto request = rig.ask("0001 small");
  rig.accept_all(0);
  rig.mux.flush();
  rig.accept_all(0);
  CHECK(rig.outcome(first) == "maybe_sent reply_sent");
  CHECK(rig.outcome(second) == "maybe_sent reply_sent");
  auto heard = rig.heard(0);
  REQUIRE(heard.size() == 3);
  CHECK(heard[0] == large);
  CHECK(std::ranges::count(heard, large) == 2);
  rig.say(0, "0001 ok");
  CHECK(rig.outcome(request) == "answered 0001 ok");
  CHECK(rig.is_clean());
}

TEST_CASE("outcome.a reply's deadline, withdrawal and death of its process") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto notice = host_asks(rig);
  const std::string large = "9999" + std::string(45'000, 'x');
  rig.ask("0001" + large, 1'000'000);  // leaves no room
  const auto tag = rig.reply(notice, large, 100);
  SUBCASE("waiting: not sent, and another may follow") {
    rig.advance_ms(100);
    CHECK(rig.outcome(tag) == "not_sent deadline");
    rig.accept_all(0);
    const auto again = rig.reply(notice, "9999 done");
    rig.accept_all(0);
    CHECK(rig.outcome(again) == "maybe_sent reply_sent");
  }
  SUBCASE("withdrawn: not sent, and another may follow") {
    REQUIRE(rig.callers.withdraw(tag));
    rig.accept_all(0);
    rig.mux.flush();
    CHECK(rig.outcome(tag) == "withdrawn");
    const auto again = rig.reply(notice, "9999 done");
    rig.accept_all(0);
    CHECK(rig.outcome(again) == "maybe_sent reply_sent");
  }
  SUBCASE("sealed: may be sent, and nothing is told later") {
    rig.accept_all(0);
    rig.mux.flush();
    rig.advance_ms(100);
    CHECK(rig.outcome(tag) == "maybe_sent deadline");
    rig.accept_all(0);
  }
  SUBCASE("its process is gone") {
    rig.mux.abandon(rig.index_of(tag));
    rig.callers.die();
    rig.accept_all(0);
    rig.mux.flush();
    CHECK_FALSE(rig.network[0].sending.has_value());
  }
  CHECK(rig.session(0).replies.empty());
  CHECK(rig.session(0).replies_in_flight.empty());
}

TEST_CASE("outcome.a reply bears the received header with its addresses exchanged, where that is configured") {
  auto config = test::keyed_config();
  config.upstreams[0].framing.header = {0x60, 0x00, 0x01, 0x00, 0x02};
  config.upstreams[0].framing.header_swaps_addresses = true;
  MuxRig rig(config);
  rig.bring_up(0);
  rig.say(0, std::string("\x60\x12\x34\x56\x78", 5) + "9999 echo");
  REQUIRE(rig.notices.unsolicited_ones.size() == 1);
  CHECK(rig.notices.unsolicited_ones[0].message == "9999 echo");
  rig.reply(rig.notices.unsolicited_ones[0].notice, "9999 done");
  rig.accept_all(0);
  CHECK(rig.heard(0) == std::vector<std::string>{std::string("\x60\x56\x78\x12\x34", 5) + "9999 done"});
}
