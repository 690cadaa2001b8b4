#include "config/check/check_correlation.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "config/json/json_pointer.hpp"
#include "config/limits.hpp"
#include "config/settings_tree.hpp"
#include "config/wording.hpp"
#include "config/words.hpp"

namespace tlsmux::config {
namespace {

// Settings of one kind of correlation where another is chosen.
void check_settings_of_others(const CorrelationSettings& correlation, const std::string& pointer, Findings& findings) {
  const std::string kind = pointer_to(pointer, "kind");
  const auto means_nothing = [&](std::string_view key, CorrelationKind wanted) {
    findings.add(pointer_to(pointer, key),
                 "means nothing where kind is " + in_quotes(word_of(correlation.kind)) +
                     "; remove it, or set kind to " + in_quotes(word_of(wanted)),
                 {kind});
  };
  if (correlation.kind != CorrelationKind::bytes) {
    if (correlation.offset != 0) means_nothing("offset", CorrelationKind::bytes);
    if (correlation.length != 0) means_nothing("length", CorrelationKind::bytes);
    if (!correlation.mask.empty()) means_nothing("mask", CorrelationKind::bytes);
  }
  if (correlation.kind != CorrelationKind::iso8583) {
    const bool given = settings_tree(correlation.iso8583) != settings_tree(Iso8583Settings{});
    if (given) means_nothing("iso8583", CorrelationKind::iso8583);
  }
}

void check_mask(const CorrelationSettings& correlation, const std::string& pointer, Findings& findings) {
  const auto& mask = correlation.mask;
  if (mask.empty()) return;
  if (mask.size() != correlation.length) {
    findings.add(pointer_to(pointer, "mask"),
                 "must hold as many bytes as the key, " + std::to_string(correlation.length) + " (" +
                     std::to_string(2 * correlation.length) + " digits), holds " + std::to_string(mask.size()),
                 {pointer_to(pointer, "length")});
  } else if (std::ranges::all_of(mask, [](std::uint8_t byte) { return byte == 0; })) {
    findings.add(pointer_to(pointer, "mask"), "is all zero, so that all messages would have the same key");
  }
}

void check_bytes(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  const CorrelationSettings& correlation = upstream.correlation;
  const std::string place = pointer_to(pointer, "correlation");
  const std::string offset = pointer_to(place, "offset");
  const std::string length = pointer_to(place, "length");
  if (correlation.length == 0) {
    findings.add(length, "must be between 1 and " + std::to_string(kCorrelationKeyBytesMax) +
                             " where kind is \"bytes\", is 0 or missing");
    return;
  }
  const std::uint64_t end = std::uint64_t{correlation.offset} + correlation.length;
  const std::string key_ends = "offset + length is " + std::to_string(end);
  if (end > kKeyPrefixBytesMax) {
    findings.add(offset,
                 key_ends + ", but a key must end within the first " + std::to_string(kKeyPrefixBytesMax) +
                     " bytes of a message",
                 {length});
  } else if (end > upstream.framing.message_bytes_max) {
    const std::string message_bytes_max = pointer_to(pointer_to(pointer, "framing"), "message_bytes_max");
    findings.add(offset,
                 key_ends + ", but no message is longer than " + std::to_string(upstream.framing.message_bytes_max) +
                     " bytes (" + message_bytes_max + ")",
                 {length, message_bytes_max});
  }
  check_mask(correlation, place, findings);
}

}  // namespace

void check_correlation(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  check_settings_of_others(upstream.correlation, pointer_to(pointer, "correlation"), findings);
  if (upstream.correlation.kind == CorrelationKind::bytes) check_bytes(upstream, pointer, findings);
}

}  // namespace tlsmux::config
