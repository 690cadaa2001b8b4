// What a framing makes the multiplexer do: trailers, messages that may not be sent, echoed keep-alives.
#include <doctest/doctest.h>

#include <algorithm>

#include "config/framing_presets.hpp"
#include "tests/mux/mux_rig.hpp"

using namespace tlsmux;
using namespace std::string_view_literals;
using test::MuxRig;

namespace {

config::Config config_with(std::string_view preset) {
  auto config = test::fifo_config();
  auto& framing = config.upstreams[0].framing;
  framing = std::ranges::find(config::framing_presets(), preset, &config::FramingPreset::name)->settings;
  framing.message_bytes_max = 1000;
  return config;
}

// The plaintext of the records among the bytes that the kernel has accepted since `from`.
std::string said_since(MuxRig& rig, std::size_t from) {
  std::string said;
  std::span<const std::byte> wire = std::span(rig.network[0].wire).subspan(from);
  test::PlainRecordCutter cutter;
  while (!wire.empty()) {
    const auto record = cutter.next(wire);
    REQUIRE(record.has_value());
    if (!*record) break;
    said += test::to_text((*record)->content);
  }
  return said;
}

void say(MuxRig& rig, std::string_view plaintext) { rig.say_raw(0, std::as_bytes(std::span(plaintext))); }

}  // namespace

TEST_CASE("framing.a request leaves with all that stands before and behind it") {
  struct Expected {
    std::string_view preset;
    std::string_view wire;
  };
  for (const auto& [preset, wire] :
       {Expected{"stx_etx", "\x02hello\x03"sv}, Expected{"base24_tcp", "\x00\x06hello\x03"sv},
        Expected{"rbp", "\xd0\x4a\x00\x05\x00\x00hello"sv}, Expected{"crlf", "hello\r\n"sv}}) {
    CAPTURE(preset);
    MuxRig rig(config_with(preset));
    rig.bring_up(0);
    const auto before = rig.network[0].wire.size();
    const auto tag = rig.ask("hello");
    rig.accept_all(0);
    CHECK(said_since(rig, before) == wire);
    say(rig, wire);
    CHECK(rig.outcome(tag) == "answered hello");
    CHECK(rig.is_clean());
  }
}

TEST_CASE("framing.a header goes out before each request and comes off each answer") {
  auto config = config_with("nac");
  config.upstreams[0].framing.header = {0x60, 0x00, 0x01, 0x00, 0x02};
  config.upstreams[0].framing.header_swaps_addresses = true;
  MuxRig rig(config);
  rig.bring_up(0);
  const auto before = rig.network[0].wire.size();
  const auto tag = rig.ask("hello");
  rig.accept_all(0);
  CHECK(said_since(rig, before) ==
        "\x00\x0a"
        "\x60\x00\x01\x00\x02"
        "hello"sv);
  say(rig,
      "\x00\x09"
      "\x60\x00\x02\x00\x01"
      "fine"sv);
  CHECK(rig.outcome(tag) == "answered fine");
}

TEST_CASE("framing.messages with trailers of the largest size fit the memory that is asked for them") {
  for (const std::uint32_t bytes : {1U, 16'376U, 16'384U, 65'000U}) {
    CAPTURE(bytes);
    auto config = config_with("stx_etx");
    auto& framing = config.upstreams[0].framing;
    framing.message_bytes_max = bytes;
    framing.header.assign(config::kFramingHeaderBytesMax, 'h');
    framing.start.assign(config::kFramingPartBytesMax, 's');
    framing.trailer.assign(config::kFramingPartBytesMax, 't');
    framing.delimiter.assign(config::kFramingPartBytesMax, 'd');
    MuxRig rig(config, engine::mux::send_memory_bytes(config.upstreams[0]));
    rig.bring_up(0);
    const auto before = rig.network[0].wire.size();
    rig.ask(std::string(bytes, 'x'));
    rig.accept_all(0);
    CHECK(said_since(rig, before).size() == bytes + 32 + 3 * 8);
  }
}

TEST_CASE("framing.a message that would be cut in two at the host is refused as unparsable") {
  for (const bool keyed : {false, true}) {
    CAPTURE(keyed);
    auto config = config_with("stx_etx");
    if (keyed) config.upstreams[0].correlation = test::keyed_config().upstreams[0].correlation;
    MuxRig rig(config);
    rig.bring_up(0);
    const auto before = rig.network[0].wire.size();
    CHECK(rig.outcome(rig.ask("hello\x03"
                              "evil")) == "not_sent unparsable");
    CHECK(rig.outcome(rig.ask("hello" + std::string(990, 'x') + "\x02")) == "not_sent unparsable");
    CHECK(rig.is_clean());
    // What was refused holds no key.
    const auto tag = rig.ask("hello");
    CHECK(rig.outcome(tag) == "open");
    rig.accept_all(0);
    CHECK(said_since(rig, before) == "\x02hello\x03");
    say(rig, "\x02hello\x03");
    CHECK(rig.outcome(tag) == "answered hello");
    CHECK(rig.is_clean());
  }
}

TEST_CASE("framing.what a client changes after its message was searched does not reach the host") {
  MuxRig rig(config_with("lf"));
  rig.bring_up(0);
  const auto before = rig.network[0].wire.size();
  const auto tag = rig.submit("a quiet message of some length");
  auto& slot = rig.callers[tag].message;
  std::ranges::fill(slot, std::byte{'\n'});
  rig.mux.flush();
  rig.accept_all(0);
  CHECK(said_since(rig, before) == "a quiet message of some length\n");
}

TEST_CASE("framing.keep-alives are echoed byte for byte, as many as came, if so configured") {
  struct Echo {
    std::string_view preset;
    std::string_view keep_alive;
  };
  for (const auto& [preset, keep_alive] :
       {Echo{"cs", "\x00\x00\x00\x00"sv}, Echo{"vap", "\x00\x00\x00\x00"sv}, Echo{"cmf", "\x00\x00\x00"sv},
        Echo{"gicc", "\x00\x00\x00\x00"sv}, Echo{"base24_tcp", "\x00\x00"sv}}) {
    CAPTURE(preset);
    MuxRig rig(config_with(preset));
    rig.bring_up(0);
    const auto before = rig.network[0].wire.size();
    say(rig, keep_alive);
    rig.accept_all(0);
    CHECK(said_since(rig, before) == keep_alive);
    const auto three = std::string(keep_alive) + std::string(keep_alive) + std::string(keep_alive);
    say(rig, three);
    rig.accept_all(0);
    CHECK(said_since(rig, before) == std::string(keep_alive) + three);
  }
}

TEST_CASE("framing.keep-alives are not echoed unless configured") {
  MuxRig rig(config_with("length16"));
  rig.bring_up(0);
  const auto before = rig.network[0].wire.size();
  say(rig, "\x00\x00\x00\x00"sv);
  CHECK_FALSE(rig.network[0].sending.has_value());
  CHECK(rig.network[0].wire.size() == before);
  CHECK(rig.session(0).cutter->keep_alives() == 2);
  CHECK(rig.upstream().keep_alives == 2);
  CHECK(rig.session(0).is_up());
}

TEST_CASE("framing.echoes share the wire with requests and answers") {
  MuxRig rig(config_with("base24_tcp"));
  rig.bring_up(0);
  const auto before = rig.network[0].wire.size();
  const auto first = rig.ask("one");
  rig.accept_all(0);
  say(rig,
      "\x00\x00"
      "\x00\x04"
      "ONE\x03"
      "\x00\x00"sv);
  CHECK(rig.outcome(first) == "answered ONE");
  const auto second = rig.ask("two");
  rig.accept_all(0);
  CHECK(said_since(rig, before) ==
        "\x00\x04"
        "one\x03"
        "\x00\x00\x00\x00"
        "\x00\x04"
        "two\x03"sv);
  say(rig,
      "\x00\x04"
      "TWO\x03"sv);
  CHECK(rig.outcome(second) == "answered TWO");
}

TEST_CASE("framing.a flood of keep-alives from a host that takes no bytes is not echoed beyond the room there is") {
  constexpr std::size_t kMemoryBytes = 2000;
  MuxRig rig(config_with("base24_tcp"), kMemoryBytes);
  rig.bring_up(0);
  const auto before = rig.network[0].wire.size();
  const std::string flood(2000, '\0');  // a thousand
  for (int i = 0; i < 100; ++i) say(rig, flood);
  CHECK(rig.session(0).is_up());
  CHECK(rig.session(0).wire.room() < 200);
  CHECK(rig.session(0).cutter->keep_alives() == 100'000);
  rig.accept_all(0);
  const auto echoed = said_since(rig, before);
  CHECK(!echoed.empty());
  CHECK(echoed.size() < kMemoryBytes);
  CHECK(echoed.find_first_not_of('\0') == std::string::npos);
  // Room again: served again.
  const auto tag = rig.ask("one");
  rig.accept_all(0);
  say(rig,
      "\x00\x04"
      "ONE\x03"sv);
  CHECK(rig.outcome(tag) == "answered ONE");
}

TEST_CASE("framing.bytes that are not of the layout end the session") {
  MuxRig rig(config_with("gicc"));
  rig.bring_up(0);
  const auto tag = rig.ask("hello");
  rig.accept_all(0);
  say(rig, "\x00\x01\x00\x05hello"sv);
  CHECK_FALSE(rig.session(0).is_up());
  rig.finish_close(0);
  CHECK(rig.outcome(tag) == "maybe_sent stream_corrupt");
}
