// The rules for streams and for upstreams that have nothing else.
#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/check/config_check.hpp"
#include "config/framing_presets.hpp"
#include "tests/config/config_text.hpp"

namespace tlsmux::config::test {
namespace {

using Change = std::function<void(UpstreamSettings&)>;

struct Broken {
  Change change;
  std::string error;  // POINTER within the upstream: message
};

// For streams only: with what good_json() says of messages taken away.
Config streams_only(FramingKind kind) {
  auto json = good_json();
  json["upstreams"][0].erase("correlation");
  json["upstreams"][0]["framing"] = kind == FramingKind::http1 ? "http1" : "none";
  if (kind == FramingKind::none) json["upstreams"][0]["streams"]["reuse"] = "never";
  return parsed(json);
}

void check_broken(const Config& good, const std::vector<Broken>& all) {
  CHECK(in_words(check(good)) == "");
  for (const Broken& broken : all) {
    CAPTURE(broken.error);
    Config config = good;
    broken.change(config.upstreams[0]);
    CHECK(in_words(check(config)) == "FILE: /upstreams/0" + broken.error + "\n");
  }
}

const std::vector<Broken> kBrokenWithMessages = {
    {[](UpstreamSettings& upstream) { upstream.sessions = 0; },
     "/sessions: is 0, which is for leased streams only: their sessions are made when one is needed; raise it"},
    {[](UpstreamSettings& upstream) {
       upstream.sessions = 0;
       upstream.streams.kind = StreamKind::leased;
     },
     "/sessions_max: is missing: with sessions 0, say how many may be made when streams need them"},
    {[](UpstreamSettings& upstream) { upstream.streams.reuse = StreamReuse::always; },
     "/streams/reuse: means nothing where kind is \"messages\"; remove it, or set kind to \"leased\""},
    {[](UpstreamSettings& upstream) { upstream.streams.idle_max_ms = 1; },
     "/streams/idle_max_ms: means nothing where kind is \"messages\"; remove it, or set kind to \"leased\""},
    {[](UpstreamSettings& upstream) {
       upstream.streams.kind = StreamKind::leased;
       upstream.streams.order = StreamOrder::as_asked;
     },
     "/streams/order: means nothing where kind is \"leased\"; remove it, or set kind to \"messages\""},
    {[](UpstreamSettings& upstream) {
       upstream.streams.kind = StreamKind::leased;
       upstream.streams.in_flight_max = 1;
     },
     "/streams/in_flight_max: means nothing where kind is \"leased\"; remove it, or set kind to \"messages\""},
    {[](UpstreamSettings& upstream) {
       upstream.groups = {"EBANKING"};
       upstream.framing.length_bytes = 4;
       upstream.framing.message_bytes_max = 8192;
       upstream.streams.open_max = 16'384;
       upstream.streams.buffer_bytes = 262'145;
     },
     "/streams/buffer_bytes: is 262145, which for all streams (/upstreams/0/streams/open_max) could take 4294983680 "
     "bytes; the most is 4294967296; lower it, or open_max"},
    {[](UpstreamSettings& upstream) {
       upstream.streams.kind = StreamKind::leased;
       upstream.queue_max = 7;
     },
     "/queue_max: means nothing where streams are leased: there are no requests; remove it, or set "
     "/upstreams/0/streams/kind to \"messages\""},
    {[](UpstreamSettings& upstream) {
       upstream.streams.kind = StreamKind::leased;
       upstream.timeouts.request_ms = 7;
     },
     "/timeouts/request_ms: means nothing where streams are leased: there are no requests; remove it, or set "
     "/upstreams/0/streams/kind to \"messages\""},
    // Values by themselves.
    {[](UpstreamSettings& upstream) { upstream.streams.open_max = 0; },
     "/streams/open_max: must be between 1 and 16384, is 0"},
    {[](UpstreamSettings& upstream) { upstream.streams.buffer_bytes = 16'383; },
     "/streams/buffer_bytes: must be between 16384 and 16777216, is 16383"},
    {[](UpstreamSettings& upstream) { upstream.sessions = 65; }, "/sessions: must be between 0 and 64, is 65"},
};

TEST_CASE("config.each broken rule about streams has one error at its pointer") {
  check_broken(parsed(good_json()), kBrokenWithMessages);
}

TEST_CASE("config.a stream's buffer holds the longest answer") {
  Config config = parsed(good_json());
  config.groups[0].memory.slot_bytes = config.groups[1].memory.slot_bytes = 20'000;
  UpstreamSettings& upstream = config.upstreams[0];
  upstream.streams.buffer_bytes = 16'384;
  upstream.framing.message_bytes_max = 16'384 - 72;
  CHECK(in_words(check(config)) == "");
  ++upstream.framing.message_bytes_max;
  CHECK(in_words(check(config)) ==
        "FILE: /upstreams/0/streams/buffer_bytes: is 16384, but an answer may take 16385 with what stands around it; "
        "raise it, or lower framing.message_bytes_max\n");
  upstream.streams.kind = StreamKind::leased;
  CHECK(in_words(check(config)) == "");
}

const std::string kNoRequests =
    ": means nothing where framing is \"http1\", which is for streams only: there are no requests; remove it";
const std::string kNothingAround =
    ": means nothing where framing is \"http1\", which puts nothing around messages; remove it";

const std::vector<Broken> kBrokenWithHttp1 = {
    {[](UpstreamSettings& upstream) { upstream.streams.kind = StreamKind::messages; },
     "/streams/kind: is \"messages\", but framing \"http1\" cuts none; remove it, or set it to \"leased\""},
    {[](UpstreamSettings& upstream) { upstream.streams.order = StreamOrder::as_asked; },
     "/streams/order: means nothing where kind is \"leased\"; remove it"},
    {[](UpstreamSettings& upstream) { upstream.tls.alpn = {"http/1.1", "h2"}; },
     "/tls/alpn/1: \"h2\" is not what framing \"http1\" understands; remove it, or set framing to \"none\""},
    {[](UpstreamSettings& upstream) { upstream.correlation.kind = CorrelationKind::bytes; },
     "/correlation" + kNoRequests},
    {[](UpstreamSettings& upstream) { upstream.correlation.iso8583.spec = "1987_ascii"; },
     "/correlation" + kNoRequests},
    {[](UpstreamSettings& upstream) { upstream.sign_on.messages.emplace_back(); }, "/sign_on" + kNoRequests},
    {[](UpstreamSettings& upstream) { upstream.sign_off.messages.emplace_back(); }, "/sign_off" + kNoRequests},
    {[](UpstreamSettings& upstream) { upstream.heartbeat.idle_ms = 1; }, "/heartbeat" + kNoRequests},
    {[](UpstreamSettings& upstream) { upstream.auto_replies.push_back({.mti = "0800", .match = {}, .set = {}}); },
     "/auto_replies" + kNoRequests},
    {[](UpstreamSettings& upstream) { upstream.trace_numbers.first = 2; }, "/trace_numbers" + kNoRequests},
    {[](UpstreamSettings& upstream) { upstream.queue_max = 1; }, "/queue_max" + kNoRequests},
    {[](UpstreamSettings& upstream) { upstream.queue_max_of_client = 5000; }, "/queue_max_of_client" + kNoRequests},
    {[](UpstreamSettings& upstream) { upstream.in_flight_max = 1; }, "/in_flight_max" + kNoRequests},
    {[](UpstreamSettings& upstream) { upstream.subscriber_group = "POS"; }, "/subscriber_group" + kNoRequests},
    {[](UpstreamSettings& upstream) { upstream.session_choice = SessionChoice::round_robin; },
     "/session_choice" + kNoRequests},
    {[](UpstreamSettings& upstream) { upstream.timeouts.silence_ms = 1; }, "/timeouts/silence_ms" + kNoRequests},
    {[](UpstreamSettings& upstream) { upstream.rotation.messages_max = 1; }, "/rotation/messages_max" + kNoRequests},
    {[](UpstreamSettings& upstream) { upstream.framing.length_bytes = 4; }, "/framing/length_bytes" + kNothingAround},
    {[](UpstreamSettings& upstream) { upstream.framing.delimiter = {10}; }, "/framing/delimiter" + kNothingAround},
    {[](UpstreamSettings& upstream) { upstream.framing.message_bytes_max = 9000; },
     "/framing/message_bytes_max" + kNothingAround},
};

TEST_CASE("config.what is said of messages is an error where there are none") {
  check_broken(streams_only(FramingKind::http1), kBrokenWithHttp1);
}

TEST_CASE("config.framing none has to say when a session may be used again") {
  const std::string reuse =
      "/streams/reuse: is \"at_boundary\" or missing, but framing \"none\" knows no boundary, so that no session could "
      "serve a second stream; give \"always\" if the protocol does not mind, else \"never\"";
  check_broken(streams_only(FramingKind::none),
               {{[](UpstreamSettings& upstream) { upstream.streams.reuse = StreamReuse::at_boundary; }, reuse}});
}

TEST_CASE("config.streams at the edge of their rules are good") {
  const std::vector<Change> changes = {
      [](UpstreamSettings& upstream) { upstream.streams.reuse = StreamReuse::always; },
      [](UpstreamSettings& upstream) {
        upstream.sessions = 0;
        upstream.sessions_max = 1;
      },
      [](UpstreamSettings& upstream) { upstream.streams.idle_max_ms = 0; },
      [](UpstreamSettings& upstream) { upstream.streams.open_max = 16'384; },
      [](UpstreamSettings& upstream) { upstream.timeouts.connect_ms = 1; },
      [](UpstreamSettings& upstream) { upstream.rotation.age_max_s = 1; },
  };
  for (const FramingKind kind : {FramingKind::http1, FramingKind::none}) {
    for (const Change& change : changes) {
      Config config = streams_only(kind);
      change(config.upstreams[0]);
      CHECK(in_words(check(config)) == "");
    }
  }
  Config messages = parsed(good_json());
  messages.upstreams[0].streams = {
      .order = StreamOrder::as_asked, .open_max = 1, .in_flight_max = 1, .buffer_bytes = 16'384, .wait_ms = 1};
  CHECK(in_words(check(messages)) == "");
  Config http = streams_only(FramingKind::http1);
  http.upstreams[0].tls.alpn = {"http/1.1", "http/1.0"};
  CHECK(in_words(check(http)) == "");
  Config none = streams_only(FramingKind::none);
  none.upstreams[0].tls.alpn = {"h2"};
  CHECK(in_words(check(none)) == "");
  // A message would not fit a slot, but there are none.
  none.groups[0].memory.slot_bytes = none.groups[1].memory.slot_bytes = 64;
  CHECK(in_words(check(none)) == "");
}

TEST_CASE("config.streams are leased where nothing else is possible, and only there unless it is said") {
  const auto kind_with = [](std::string_view framing, std::string_view streams) {
    auto json = good_json();
    json["upstreams"][0]["framing"] = nlohmann::json::parse(framing);
    json["upstreams"][0]["streams"] = nlohmann::json::parse(streams);
    return parsed(json).upstreams[0].streams.kind;
  };
  CHECK(kind_with(R"("http1")", "{}") == StreamKind::leased);
  CHECK(kind_with(R"({"preset": "none"})", R"({"reuse": "always"})") == StreamKind::leased);
  CHECK(kind_with(R"({"kind": "http1"})", R"({"kind": "messages"})") == StreamKind::messages);
  CHECK(kind_with(R"("post")", "{}") == StreamKind::messages);
  CHECK(kind_with(R"("post")", R"({"kind": "leased"})") == StreamKind::leased);
  auto without_streams = good_json();
  without_streams["upstreams"][0]["framing"] = "http1";
  CHECK(parsed(without_streams).upstreams[0].streams.kind == StreamKind::leased);
}

TEST_CASE("config.what follows from a framing that cannot be read is not reported again") {
  Config config = parsed(good_json());
  config.upstreams[0].streams.reuse = StreamReuse::never;
  config.upstreams[0].sessions = 0;
  const ConfigErrors earlier = {{.pointer = "/upstreams/0/framing", .message = "x"},
                                {.pointer = "/upstreams/0/streams/kind", .message = "x"}};
  CHECK(in_words(check(config, earlier)) == "");
}

}  // namespace
}  // namespace tlsmux::config::test
