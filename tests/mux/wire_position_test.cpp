// The heart of the matter: which requests may have been sent when a session is lost, at every byte position of what
// the kernel accepted. A request of which one byte was accepted may be; any other was not and moves on.
#include <doctest/doctest.h>

#include <set>

#include "tests/mux/lease_rig.hpp"
#include "tests/mux/scripted_tls.hpp"

using namespace tlsmux;
using test::MuxRig;

namespace {

// How the session is lost, after the kernel has accepted its bytes.
enum class Loss : std::uint8_t { send_fails, host_closes, host_closes_during_send, stalls };

struct Sealed {
  std::uint64_t tag = 0;
  std::size_t first_byte = 0;  // of the first record that holds a byte of it, on the wire of the requests
};

// Requests on one session, sealed and not accepted.
struct Scene {
  std::vector<Sealed> requests;
  std::size_t bytes = 0;  // of all records
};

constexpr std::size_t kHeader = test::kPlainHeaderBytes;

// Two records of two requests each; the second is sealed while the first is being sent.
Scene two_records(MuxRig& rig) {
  Scene scene;
  for (const auto* text : {"0001 a", "0002 bb"}) scene.requests.push_back({rig.submit(text), 0});
  rig.mux.flush();
  const auto first = kHeader + 2 + 6 + 2 + 7;
  for (const auto* text : {"0003 ccc", "0004 dddd"}) scene.requests.push_back({rig.submit(text), first});
  rig.mux.flush();
  scene.bytes = first + kHeader + 2 + 8 + 2 + 9;
  return scene;
}

// One message over three records. The first shares its first record with another, the last shares its last.
Scene three_records(MuxRig& rig) {
  Scene scene;
  const auto record = kHeader + test::kPlainRecordBytesMax;
  scene.requests.push_back({rig.submit("0001"), 0});
  scene.requests.push_back({rig.submit("0002" + std::string(40'000, 'x')), 0});
  scene.requests.push_back({rig.submit("0003"), 2 * record});
  rig.mux.flush();
  scene.bytes = 3 * kHeader + 3 * 2 + 4 + 40'004 + 4;
  return scene;
}

void accept_so_many(MuxRig& rig, std::size_t bytes, std::size_t step) {
  while (bytes > 0) {
    REQUIRE(rig.network[0].sending.has_value());
    const auto count = std::min({bytes, step, rig.network[0].sending->size()});
    rig.accept(0, count);
    bytes -= count;
  }
}

std::string lose_session(MuxRig& rig, Loss loss) {
  const bool is_sending = rig.network[0].sending.has_value();
  switch (loss) {
    case Loss::send_fails:
      if (!is_sending) break;
      rig.fail_send(0, EPIPE);
      rig.finish_close(0);
      return "maybe_sent connection_lost";
    case Loss::host_closes_during_send:
      if (!is_sending) break;
      rig.mux.ended(rig.network[0].id, ECONNRESET);
      rig.finish_close(0);
      return "maybe_sent connection_lost";
    case Loss::stalls:
      if (!is_sending) break;
      rig.advance_ms(rig.config.upstreams[0].timeouts.write_stall_ms);
      rig.finish_close(0);
      return "maybe_sent write_stalled";
    case Loss::host_closes: break;
  }
  rig.lose(0);
  return "maybe_sent host_closed";
}

// Accepts `accepted` bytes, loses the session, and looks at what became of each request; then brings up another
// session, where those of which nothing was accepted are sent, and only those.
void check_loss(Scene (*build)(MuxRig&), std::size_t accepted, std::size_t step, Loss loss) {
  CAPTURE(accepted);
  CAPTURE(step);
  CAPTURE(static_cast<int>(loss));
  auto config = test::keyed_config();
  config.upstreams[0].timeouts.request_ms = 1'000'000;
  MuxRig rig(config);
  rig.bring_up(0);
  const auto scene = build(rig);
  accept_so_many(rig, accepted, step);
  rig.heard(0);
  const auto lost = lose_session(rig, loss);

  std::set<std::string> moved;
  for (const auto& request : scene.requests) {
    const bool may_be_sent = request.first_byte < accepted;
    REQUIRE(rig.outcome(request.tag) == (may_be_sent ? lost : "open"));
    if (!may_be_sent) moved.insert(test::to_text(rig.callers[request.tag].message));
  }
  rig.advance_to_due();
  rig.bring_up(0);
  rig.accept_all(0);
  const auto heard = rig.heard(0);
  REQUIRE(std::set(heard.begin(), heard.end()) == moved);
  REQUIRE(heard.size() == moved.size());
  for (const auto& message : heard) rig.say(0, message.substr(0, 4) + " ok");
  for (const auto& request : scene.requests) {
    if (request.first_byte >= accepted) REQUIRE(rig.outcome(request.tag).starts_with("answered "));
  }
  REQUIRE(rig.is_clean());
}

constexpr Loss kLosses[] = {Loss::send_fails, Loss::host_closes, Loss::host_closes_during_send, Loss::stalls};

std::size_t bytes_of(Scene (*build)(MuxRig&)) {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  return build(rig).bytes;
}

}  // namespace

TEST_CASE("outcome.at every byte of two records, by every loss and every size of send") {
  const auto bytes = bytes_of(two_records);
  for (std::size_t accepted = 0; accepted <= bytes; ++accepted) {
    for (const auto loss : kLosses) {
      for (const std::size_t step : {1U, 2U, 7U, 22U, 1000U}) check_loss(two_records, accepted, step, loss);
    }
  }
}

TEST_CASE("outcome.around every record boundary of a message over three records") {
  const auto bytes = bytes_of(three_records);
  const auto record = kHeader + test::kPlainRecordBytesMax;
  std::set<std::size_t> positions{0, 1, bytes - 1, bytes};
  for (const auto boundary : {kHeader, record, 2 * record, bytes - 6}) {
    for (std::size_t i = 0; i < 9; ++i) positions.insert(boundary + i - 4);
  }
  for (const auto accepted : positions) {
    for (const auto loss : kLosses) check_loss(three_records, accepted, 5000, loss);
  }
}

TEST_CASE("outcome.only the last completion of a send tells: bytes accepted while the session ends") {
  const auto bytes = bytes_of(two_records);
  const std::size_t first = kHeader + 2 + 6 + 2 + 7;
  for (std::size_t accepted = 1; accepted <= first; ++accepted) {
    MuxRig rig(test::keyed_config());
    rig.bring_up(0);
    const auto scene = two_records(rig);
    rig.mux.ended(rig.network[0].id, 0);
    for (const auto& request : scene.requests) REQUIRE(rig.outcome(request.tag) == "open");
    rig.finish_close(0, accepted);  // the send in flight held the first record
    for (const auto& request : scene.requests) {
      REQUIRE(rig.outcome(request.tag) == (request.first_byte == 0 ? "maybe_sent host_closed" : "open"));
    }
  }
  CHECK(bytes > first);
}

TEST_CASE("outcome.requests of a session that could not seal them move on") {
  for (int good_seals = 0; good_seals < 3; ++good_seals) {
    CAPTURE(good_seals);
    MuxRig rig(test::keyed_config());
    test::TlsScript script{.good_seals = good_seals, .open_error = {}};
    test::bring_up_scripted(rig, 0, script);
    REQUIRE(rig.session(0).is_up());
    const auto scene = three_records(rig);
    CHECK_FALSE(rig.session(0).is_up());
    rig.finish_close(0);
    // Nothing was ever given to the kernel, the records that were sealed included.
    for (const auto& request : scene.requests) CHECK(rig.outcome(request.tag) == "open");
    rig.advance_to_due();
    rig.bring_up(0);
    rig.accept_all(0);
    CHECK(rig.heard(0).size() == 3);
  }
}

TEST_CASE("outcome.what TLS says of its own before a request's record is none of the request") {
  for (const bool is_begun : {false, true}) {
    CAPTURE(is_begun);
    MuxRig rig(test::keyed_config());
    test::TlsScript script;
    test::bring_up_scripted(rig, 0, script);
    script.says_something_first = true;
    const auto tag = rig.ask("0001");
    rig.accept(0, kHeader + (is_begun ? 1 : 0));
    rig.fail_send(0, ECONNRESET);
    rig.finish_close(0);
    CHECK(rig.outcome(tag) == (is_begun ? "maybe_sent connection_lost" : "open"));
  }
}

TEST_CASE("outcome.what TLS says of its own before a stream's record is none of the stream") {
  for (const bool is_begun : {false, true}) {
    CAPTURE(is_begun);
    MuxRig rig(test::lease_config(1));
    test::TlsScript script;
    test::bring_up_scripted(rig, 0, script);
    const auto stream = rig.lease();
    script.says_something_first = true;
    rig.write(stream, test::frame("question"));
    rig.accept(0, kHeader + (is_begun ? 1 : 0));
    rig.fail_send(0, ECONNRESET);
    rig.finish_close(0);
    CHECK(rig.state(stream) == (is_begun ? "maybe_sent connection_lost" : "lost connection_lost"));
  }
}
