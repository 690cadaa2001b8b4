#include "config/check/check_streams.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "config/json/json_pointer.hpp"
#include "config/limits.hpp"
#include "config/settings_tree.hpp"
#include "config/wording.hpp"
#include "config/words.hpp"

namespace tlsmux::config {
namespace {

// What is said of requests. There are none where streams are leased.
constexpr auto kOfRequests = std::to_array<std::string_view>({
    "session_choice",
    "in_flight_max",
    "queue_max",
    "queue_max_of_client",
    "queue_max_of_group",
    "subscriber_group",
    "timeouts/request_ms",
    "timeouts/late_answer_ms",
    "rotation/messages_max",
});

// What is said of messages beyond that; of an object, all of it. There are none where the framing cuts none.
constexpr auto kOfMessages = std::to_array<std::string_view>({
    "correlation",
    "timeouts/sign_on_ms",
    "timeouts/silence_ms",
    "sign_on",
    "sign_off",
    "heartbeat",
    "auto_replies",
    "trace_numbers",
});

std::string nested(const std::string& pointer, std::string_view object, std::string_view key) {
  return pointer_to(pointer_to(pointer, object), key);
}

const SettingsNode& node_at(const SettingsNode& node, std::string_view path) {
  const std::string_view key = path.substr(0, path.find('/'));
  const SettingsNode& child = *std::ranges::find(node.children, key, &SettingsNode::key);
  return key.size() == path.size() ? child : node_at(child, path.substr(key.size() + 1));
}

// Compares an upstream's settings with the defaults.
class Givens {
 public:
  explicit Givens(const UpstreamSettings& upstream)
      : given_(settings_tree(upstream)), defaults_(settings_tree(UpstreamSettings{})) {}

  [[nodiscard]] bool is_given(std::string_view path) const { return node_at(given_, path) != node_at(defaults_, path); }
  [[nodiscard]] const std::vector<SettingsNode>& keys_of(std::string_view path) const {
    return node_at(defaults_, path).children;
  }

 private:
  SettingsNode given_;
  SettingsNode defaults_;
};

void check_without_messages(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  const std::string kind(word_of(upstream.framing.kind));
  const std::string framing_kind = nested(pointer, "framing", "kind");
  const std::string preset = nested(pointer, "framing", "preset");
  const Givens givens(upstream);
  const auto check = [&](std::string_view path, const std::string& what) {
    if (!givens.is_given(path)) return;
    findings.add(pointer + "/" + std::string(path),
                 "means nothing where framing is \"" + kind + "\", which " + what + "; remove it",
                 {framing_kind, preset});
  };
  const std::string no_requests = "is for streams only: there are no requests";
  for (const SettingsNode& setting : givens.keys_of("framing")) {
    if (setting.key != "kind") check("framing/" + setting.key, "puts nothing around messages");
  }
  for (const std::string_view path : kOfRequests) check(path, no_requests);
  for (const std::string_view path : kOfMessages) check(path, no_requests);
  if (upstream.streams.kind == StreamKind::messages) {
    findings.add(nested(pointer, "streams", "kind"),
                 "is \"messages\", but framing \"" + kind + "\" cuts none; remove it, or set it to \"leased\"",
                 {framing_kind, preset});
  }
}

// Leased although the framing cuts messages.
void check_without_requests(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  const std::string kind = nested(pointer, "streams", "kind");
  const Givens givens(upstream);
  for (const std::string_view path : kOfRequests) {
    if (!givens.is_given(path)) continue;
    findings.add(
        pointer + "/" + std::string(path),
        "means nothing where streams are leased: there are no requests; remove it, or set " + kind + " to \"messages\"",
        {kind, pointer_to(pointer, "framing")});
  }
}

// HTTP/2 has no boundaries of HTTP/1.1, and a host that is offered both chooses it.
void check_http1_alpn(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  const std::string alpn = nested(pointer, "tls", "alpn");
  for (std::size_t i = 0; i < upstream.tls.alpn.size(); ++i) {
    const std::string& protocol = upstream.tls.alpn[i];
    if (protocol.starts_with("http/1.")) continue;
    findings.add(
        pointer_to(alpn, i),
        in_quotes(protocol) + " is not what framing \"http1\" understands; remove it, or set framing to " + "\"none\"",
        {nested(pointer, "framing", "kind"), nested(pointer, "framing", "preset")});
  }
}

// Settings of one kind of stream where the other is chosen.
void check_settings_of_others(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  const StreamSettings& streams = upstream.streams;
  const StreamSettings defaults;
  const bool leased = streams.kind == StreamKind::leased;
  const std::string kind = pointer_to(pointer, "kind");
  const std::string advice = cuts_messages(upstream.framing.kind)
                                 ? std::string(", or set kind to ") + (leased ? "\"messages\"" : "\"leased\"")
                                 : "";
  const auto means_nothing = [&](bool is_given, std::string_view key) {
    if (!is_given) return;
    findings.add(pointer_to(pointer, key),
                 "means nothing where kind is " + in_quotes(word_of(streams.kind)) + "; remove it" + advice, {kind});
  };
  if (leased) {
    means_nothing(streams.order != defaults.order, "order");
    means_nothing(streams.in_flight_max != defaults.in_flight_max, "in_flight_max");
  } else {
    means_nothing(streams.reuse != defaults.reuse, "reuse");
    means_nothing(streams.idle_max_ms != defaults.idle_max_ms, "idle_max_ms");
  }
}

void check_reuse(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  if (upstream.framing.kind != FramingKind::none || upstream.streams.reuse != StreamReuse::at_boundary) return;
  findings.add(nested(pointer, "streams", "reuse"),
               "is \"at_boundary\" or missing, but framing \"none\" knows no boundary, so that no session could serve "
               "a second stream; give \"always\" if the protocol does not mind, else \"never\"",
               {nested(pointer, "framing", "kind"), nested(pointer, "framing", "preset")});
}

void check_sessions(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  if (upstream.sessions != 0) return;
  const std::string sessions = pointer_to(pointer, "sessions");
  const std::string kind = nested(pointer, "streams", "kind");
  if (upstream.streams.kind != StreamKind::leased) {
    findings.add(sessions,
                 "is 0, which is for leased streams only: their sessions are made when one is needed; raise it",
                 {kind, pointer_to(pointer, "framing")});
  } else if (upstream.sessions_max == 0) {
    findings.add(pointer_to(pointer, "sessions_max"),
                 "is missing: with sessions 0, say how many may be made when streams need them", {sessions});
  }
}

void check_buffers(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  const StreamSettings& streams = upstream.streams;
  const std::string buffer_bytes = pointer_to(pointer, "buffer_bytes");
  const std::string open_max = pointer_to(pointer, "open_max");
  const std::uint32_t frame_bytes = upstream.framing.message_bytes_max + kFrameHeaderBytesMax + kFrameTrailerBytesMax;
  if (streams.kind == StreamKind::messages && streams.buffer_bytes < frame_bytes) {
    findings.add(buffer_bytes,
                 "is " + std::to_string(streams.buffer_bytes) + ", but an answer may take " +
                     std::to_string(frame_bytes) + " with what stands around it; raise it, or lower " +
                     "framing.message_bytes_max",
                 {pointer_to(pointer, "kind")});
  }
  const std::uint64_t bytes = std::uint64_t{streams.open_max} * streams.buffer_bytes;
  if (bytes > kStreamBuffersBytesMax) {
    findings.add(buffer_bytes,
                 "is " + std::to_string(streams.buffer_bytes) + ", which for all streams (" + open_max +
                     ") could take " + std::to_string(bytes) + " bytes; the most is " +
                     std::to_string(kStreamBuffersBytesMax) + "; lower it, or open_max",
                 {open_max});
  }
}

}  // namespace

void check_streams(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  const std::string streams = pointer_to(pointer, "streams");
  const bool leased = upstream.streams.kind == StreamKind::leased;
  const bool cuts = cuts_messages(upstream.framing.kind);
  if (!cuts) check_without_messages(upstream, pointer, findings);
  if (cuts && leased) check_without_requests(upstream, pointer, findings);
  if (upstream.framing.kind == FramingKind::http1) check_http1_alpn(upstream, pointer, findings);
  if (!cuts && !leased) return;
  check_settings_of_others(upstream, streams, findings);
  check_reuse(upstream, pointer, findings);
  check_sessions(upstream, pointer, findings);
  check_buffers(upstream, streams, findings);
}

}  // namespace tlsmux::config
