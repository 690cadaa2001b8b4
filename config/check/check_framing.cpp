#include "config/check/check_framing.hpp"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include "config/json/json_pointer.hpp"
#include "config/length_field.hpp"
#include "config/limits.hpp"
#include "config/words.hpp"

namespace tlsmux::config {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint32_t kTpduBytes = 5;

bool holds(const Bytes& bytes, const Bytes& what) { return !what.empty() && !std::ranges::search(bytes, what).empty(); }

void check_meaningless(bool is_set, std::string_view key, const FramingSettings& framing, const std::string& pointer,
                       Findings& findings) {
  if (!is_set) return;
  const bool is_length = framing.kind == FramingKind::length;
  findings.add(pointer_to(pointer, key),
               "means nothing where kind is \"" + std::string(word_of(framing.kind)) +
                   "\"; remove it, or set kind to \"" + (is_length ? "delimiter" : "length") + "\"",
               {pointer_to(pointer, "kind"), pointer_to(pointer, "preset")});
}

// Bytes that stand in the place of after_length are as many as it.
void check_size_of(const Bytes& bytes, std::string_view key, const FramingSettings& framing, const std::string& pointer,
                   Findings& findings) {
  if (bytes.empty() || bytes.size() == framing.after_length.size()) return;
  findings.add(pointer_to(pointer, key),
               "must be as long as after_length, " + std::to_string(framing.after_length.size()) + " bytes, is " +
                   std::to_string(bytes.size()),
               {pointer_to(pointer, "after_length")});
}

void check_control(const FramingSettings& framing, const std::string& pointer, Findings& findings) {
  const std::string control_mask = pointer_to(pointer, "control_mask");
  const std::string control_value = pointer_to(pointer, "control_value");
  const auto& mask = framing.control_mask;
  const auto& value = framing.control_value;
  check_size_of(mask, "control_mask", framing, pointer, findings);
  if (mask.size() != value.size()) {
    return findings.add(control_value,
                        "must be as long as control_mask, " + std::to_string(mask.size()) + " bytes, is " +
                            std::to_string(value.size()),
                        {control_mask});
  }
  if (!mask.empty() && std::ranges::all_of(mask, [](std::uint8_t byte) { return byte == 0; })) {
    return findings.add(control_mask, "is all zero, so that every frame would be session control");
  }
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if ((value[i] & ~mask[i]) != 0) {
      return findings.add(control_value, "has bits that control_mask has not, so that no frame would have it",
                          {control_mask});
    }
  }
  const bool same_size = mask.size() == framing.after_length.size();
  const auto is_control = [&](std::size_t i) { return (framing.after_length[i] & mask[i]) == value[i]; };
  for (std::size_t i = 0; same_size && i < mask.size(); ++i) {
    if (!is_control(i)) return;
  }
  if (same_size && !mask.empty()) {
    findings.add(control_value, "fits after_length, so that every message would be session control",
                 {control_mask, pointer_to(pointer, "after_length")});
  }
}

// What a length counts beside the message.
std::int64_t counted_beside_message(const FramingSettings& framing) {
  return std::int64_t{framing.length_adjust} + (framing.length_includes_itself ? framing.length_bytes : 0) +
         static_cast<std::int64_t>(framing.header.size() + framing.trailer.size());
}

void check_length_reaches(const FramingSettings& framing, const std::string& pointer, Findings& findings) {
  if (framing.length_bytes < 1 || framing.length_bytes > kLengthHeaderBytesMax) return;  // reported elsewhere
  const std::int64_t beside = counted_beside_message(framing);
  if (beside < 0) {
    findings.add(pointer_to(pointer, "length_adjust"),
                 "is " + std::to_string(framing.length_adjust) +
                     ", so that the length of a short message would be negative; it may take off what header, "
                     "trailer and the length itself count, no more",
                 {pointer_to(pointer, "header"), pointer_to(pointer, "trailer"), pointer_to(pointer, "preset"),
                  pointer_to(pointer, "length_includes_itself")});
    return;
  }
  const std::uint64_t largest = largest_length(framing.length_encoding, framing.length_bytes);
  const auto taken = static_cast<std::uint64_t>(beside);
  const std::uint64_t longest = largest > taken ? largest - taken : 0;
  if (framing.message_bytes_max <= longest) return;
  const std::string inclusive = framing.length_includes_itself ? " that includes itself" : "";
  findings.add(pointer_to(pointer, "message_bytes_max"),
               "is " + std::to_string(framing.message_bytes_max) + ", but a length of " +
                   std::to_string(framing.length_bytes) + " bytes (" + std::string(word_of(framing.length_encoding)) +
                   ")" + inclusive + " reaches to " + std::to_string(longest) +
                   " only; lower it, or give a longer length",
               {pointer_to(pointer, "length_bytes"), pointer_to(pointer, "length_encoding"),
                pointer_to(pointer, "length_includes_itself"), pointer_to(pointer, "length_adjust"),
                pointer_to(pointer, "header"), pointer_to(pointer, "trailer"), pointer_to(pointer, "preset")});
}

void check_length_framing(const FramingSettings& framing, const std::string& pointer, Findings& findings) {
  check_meaningless(!framing.start.empty(), "start", framing, pointer, findings);
  check_meaningless(!framing.delimiter.empty(), "delimiter", framing, pointer, findings);
  check_size_of(framing.more_after_length, "more_after_length", framing, pointer, findings);
  if (!framing.more_after_length.empty() && framing.more_after_length == framing.after_length) {
    findings.add(pointer_to(pointer, "more_after_length"), "is the same as after_length, so that no message would end",
                 {pointer_to(pointer, "after_length")});
  }
  check_control(framing, pointer, findings);
  check_length_reaches(framing, pointer, findings);
}

void check_delimiter_framing(const FramingSettings& framing, const std::string& pointer, Findings& findings) {
  const std::string delimiter = pointer_to(pointer, "delimiter");
  for (const auto& [key, is_set] : std::initializer_list<std::pair<std::string_view, bool>>{
           {"length_includes_itself", framing.length_includes_itself},
           {"length_adjust", framing.length_adjust != 0},
           {"before_length", !framing.before_length.empty()},
           {"after_length", !framing.after_length.empty()},
           {"more_after_length", !framing.more_after_length.empty()},
           {"control_mask", !framing.control_mask.empty()},
           {"control_value", !framing.control_value.empty()}}) {
    check_meaningless(is_set, key, framing, pointer, findings);
  }
  if (framing.delimiter.empty()) {
    findings.add(delimiter, "is missing: where kind is \"delimiter\", it tells where a message ends",
                 {pointer_to(pointer, "kind"), pointer_to(pointer, "preset")});
  }
  if (holds(framing.header, framing.delimiter)) {
    findings.add(pointer_to(pointer, "header"), "holds the delimiter, so that every message would end there",
                 {delimiter});
  }
  // Also where the trailer's last bytes and the delimiter's first ones make a delimiter together.
  Bytes end = framing.trailer;
  end.insert(end.end(), framing.delimiter.begin(), framing.delimiter.end());
  if (!framing.delimiter.empty() && std::ranges::search(end, framing.delimiter).end() != end.end()) {
    findings.add(pointer_to(pointer, "trailer"), "would be taken for the delimiter", {delimiter});
  }
}

}  // namespace

void check_framing(const FramingSettings& framing, const std::string& pointer, Findings& findings) {
  if (framing.header_swaps_addresses && framing.header.size() < kTpduBytes) {
    findings.add(pointer_to(pointer, "header_swaps_addresses"),
                 "needs a header that begins with a TPDU of 5 bytes: id, destination, source; the header has " +
                     std::to_string(framing.header.size()),
                 {pointer_to(pointer, "header")});
  }
  if (framing.kind == FramingKind::length) check_length_framing(framing, pointer, findings);
  if (framing.kind == FramingKind::delimiter) check_delimiter_framing(framing, pointer, findings);
}

void check_private_copies(const EngineSettings& engine, const FramingSettings& framing, const std::string& pointer,
                          Findings& findings) {
  if (framing.kind != FramingKind::delimiter) return;
  const std::uint64_t bytes = std::uint64_t{engine.shards} * engine.in_flight_max * framing.message_bytes_max;
  if (bytes <= kPrivateCopyBytesMax) return;
  const std::string in_flight_max = pointer_to("/engine", "in_flight_max");
  findings.add(pointer_to(pointer, "message_bytes_max"),
               "is " + std::to_string(framing.message_bytes_max) + ", but messages that end with a delimiter are " +
                   "copied to be searched for it, which could take " + std::to_string(bytes) + " bytes; the most is " +
                   std::to_string(kPrivateCopyBytesMax) + "; lower it, or " + in_flight_max,
               {in_flight_max, pointer_to(pointer, "kind"), pointer_to(pointer, "preset")});
}

}  // namespace tlsmux::config
