#include "config/check_upstream.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/json_pointer.hpp"
#include "config/limits.hpp"
#include "config/wording.hpp"
#include "config/words.hpp"

namespace tlsmux::config {
namespace {

std::string group_pointer(std::size_t index, std::string_view key) {
  return pointer_to(pointer_to("/groups", index), key);
}

void check_group_exists(const Config& config, const std::string& name, const std::string& pointer, Findings& findings) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    const std::string& known = config.groups[i].name;
    if (known == name) return;
    if (known.empty()) return;  // reported there, and may be the one meant
    names.push_back(known);
  }
  if (!names.empty()) findings.add(pointer, "no group is named " + in_quotes(name) + "; " + suggestion(name, names));
}

void check_groups(const Config& config, const UpstreamSettings& upstream, const std::string& pointer,
                  Findings& findings) {
  for (std::size_t i = 0; i < upstream.groups.size(); ++i) {
    const std::string& name = upstream.groups[i];
    const std::string entry = pointer_to(pointer_to(pointer, "groups"), i);
    if (std::ranges::count(std::span(upstream.groups).first(i), name) > 0) {
      findings.add(entry, in_quotes(name) + " stands in this list already; remove it");
    } else {
      check_group_exists(config, name, entry, findings);
    }
  }
}

// A message lies in one slot of the client that sends or receives it.
void check_message_fits_slots(const Config& config, const UpstreamSettings& upstream, const std::string& pointer,
                              Findings& findings) {
  const std::uint32_t message_bytes_max = upstream.framing.message_bytes_max;
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    const GroupSettings& group = config.groups[i];
    if (std::ranges::find(upstream.groups, group.name) == upstream.groups.end()) continue;
    if (message_bytes_max <= group.memory.slot_bytes) continue;
    const std::string slot_bytes = pointer_to(group_pointer(i, "memory"), "slot_bytes");
    findings.add(pointer,
                 "is " + std::to_string(message_bytes_max) + ", but a slot of group " + in_quotes(group.name) +
                     " holds " + std::to_string(group.memory.slot_bytes) + " bytes; lower it, or raise " + slot_bytes,
                 {slot_bytes, group_pointer(i, "name")});
  }
}

// The longest message whose length the field can tell.
std::uint64_t longest_message(const FramingSettings& framing) {
  std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();
  if (framing.length_encoding == LengthEncoding::ascii) {
    largest = 0;
    for (std::uint32_t i = 0; i < framing.length_bytes; ++i) largest = largest * 10 + 9;
  } else if (framing.length_bytes < sizeof(largest)) {
    largest = (std::uint64_t{1} << (8 * framing.length_bytes)) - 1;
  }
  return framing.length_includes_itself ? largest - framing.length_bytes : largest;
}

void check_framing(const FramingSettings& framing, const std::string& pointer, Findings& findings) {
  const std::uint64_t longest = longest_message(framing);
  if (framing.message_bytes_max <= longest) return;
  const std::string inclusive = framing.length_includes_itself ? " that includes itself" : "";
  findings.add(pointer_to(pointer, "message_bytes_max"),
               "is " + std::to_string(framing.message_bytes_max) + ", but a length of " +
                   std::to_string(framing.length_bytes) + " bytes (" + std::string(word_of(framing.length_encoding)) +
                   ")" + inclusive + " reaches to " + std::to_string(longest) +
                   " only; lower it, or give a longer length",
               {pointer_to(pointer, "length_bytes"), pointer_to(pointer, "length_encoding"),
                pointer_to(pointer, "length_includes_itself"), pointer_to(pointer, "preset")});
}

void check_fifo(const CorrelationSettings& correlation, const std::string& pointer, Findings& findings) {
  const std::string message = "means nothing where kind is \"fifo\"; remove it, or set kind to \"bytes\"";
  const std::string kind = pointer_to(pointer, "kind");
  if (correlation.offset != 0) findings.add(pointer_to(pointer, "offset"), message, {kind});
  if (correlation.length != 0) findings.add(pointer_to(pointer, "length"), message, {kind});
  if (!correlation.mask.empty()) findings.add(pointer_to(pointer, "mask"), message, {kind});
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

void check_correlation(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  const CorrelationSettings& correlation = upstream.correlation;
  const std::string place = pointer_to(pointer, "correlation");
  if (correlation.kind == CorrelationKind::fifo) return check_fifo(correlation, place, findings);
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

void check_tls(const TlsSettings& tls, const std::string& pointer, Findings& findings) {
  const std::string ca_file = pointer_to(pointer, "ca_file");
  const std::string certificate_file = pointer_to(pointer, "certificate_file");
  const std::string key_file = pointer_to(pointer, "key_file");
  if (tls.verify_peer && tls.ca_file.empty() && tls.ca_directory.empty()) {
    findings.add(ca_file,
                 "is missing: to verify the host, give ca_file or ca_directory (on Debian, the public CAs are "
                 "\"/etc/ssl/certs/ca-certificates.crt\"); or set verify_peer to false and trust anyone",
                 {pointer_to(pointer, "ca_directory"), pointer_to(pointer, "verify_peer")});
  }
  if (!tls.certificate_file.empty() && tls.key_file.empty()) {
    findings.add(key_file, "is missing: certificate_file needs its private key", {certificate_file});
  }
  if (!tls.key_file.empty() && tls.certificate_file.empty()) {
    findings.add(certificate_file, "is missing: key_file needs its certificate", {key_file});
  }
  if (tls.version_min > tls.version_max) {
    findings.add(pointer_to(pointer, "version_min"),
                 "is " + in_quotes(word_of(tls.version_min)) + ", higher than version_max, which is " +
                     in_quotes(word_of(tls.version_max)),
                 {pointer_to(pointer, "version_max")});
  }
}

void check_backoff(const BackoffSettings& backoff, const std::string& pointer, Findings& findings) {
  if (backoff.initial_ms <= backoff.max_ms) return;
  const std::string max_ms = pointer_to(pointer, "max_ms");
  findings.add(pointer_to(pointer, "initial_ms"),
               "must not be more than max_ms, which is " + std::to_string(backoff.max_ms) + ", is " +
                   std::to_string(backoff.initial_ms),
               {max_ms});
}

}  // namespace

void check_upstream(const Config& config, std::size_t index, Findings& findings) {
  const UpstreamSettings& upstream = config.upstreams[index];
  const std::string pointer = pointer_to("/upstreams", index);
  const std::string framing = pointer_to(pointer, "framing");
  check_groups(config, upstream, pointer, findings);
  check_message_fits_slots(config, upstream, pointer_to(framing, "message_bytes_max"), findings);
  check_framing(upstream.framing, framing, findings);
  check_correlation(upstream, pointer, findings);
  check_tls(upstream.tls, pointer_to(pointer, "tls"), findings);
  check_backoff(upstream.backoff, pointer_to(pointer, "backoff"), findings);
}

}  // namespace tlsmux::config
