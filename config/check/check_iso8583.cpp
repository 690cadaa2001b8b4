#include "config/check/check_iso8583.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "config/check/check_iso8583_messages.hpp"
#include "config/json/json_pointer.hpp"
#include "config/limits.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

constexpr std::size_t kMtiKeyDigits = 3;
constexpr std::uint32_t kRuleAndMtiBytes = 4;  // at the beginning of each key
constexpr std::uint32_t kFieldHeadBytes = 2;   // number and length in front of each value

// Whether the tables of digits have their form; what is wrong with them is reported where each value is checked.
bool has_mti_map(const Iso8583Settings& settings) {
  const auto is_row = [](const std::string& row) {
    return row.size() == 10 && row.find_first_not_of("0123456789") == std::string::npos;
  };
  return settings.mti_map.size() == kMtiKeyDigits && std::ranges::all_of(settings.mti_map, is_row);
}

void check_fixed_header(const Iso8583Settings& settings, const std::string& place, Findings& findings) {
  const std::string header_bytes = pointer_to(place, "header_bytes");
  if (!settings.header.empty() && settings.header.size() != settings.header_bytes) {
    findings.add(pointer_to(place, "header"),
                 "holds " + std::to_string(settings.header.size()) + " bytes, but header_bytes is " +
                     std::to_string(settings.header_bytes),
                 {header_bytes});
  }
  const std::uint64_t key_end = std::uint64_t{settings.key_header_offset} + settings.key_header_length;
  if (settings.key_header_length != 0 && key_end > settings.header_bytes) {
    findings.add(pointer_to(place, "key_header_length"),
                 "key_header_offset + key_header_length is " + std::to_string(key_end) + ", but header_bytes is " +
                     std::to_string(settings.header_bytes),
                 {header_bytes, pointer_to(place, "key_header_offset")});
  }
}

void check_base1_header(const Iso8583Settings& settings, const std::string& place, Findings& findings) {
  const std::string format = pointer_to(place, "header_format");
  if (settings.header_bytes != 0) {
    findings.add(pointer_to(place, "header_bytes"),
                 "means nothing where header_format is \"base1\": the header's first byte tells its length; remove it",
                 {format});
  }
  const auto& header = settings.header;
  if (!header.empty() && (header.size() < 2 || header[0] != header.size() || (header[1] & 0x80) != 0)) {
    findings.add(pointer_to(place, "header"),
                 "must be one BASE I header: its first byte its length, here " + std::to_string(header.size()) +
                     ", and the highest bit of its second byte 0",
                 {format});
  }
}

void check_key_header(const Iso8583Settings& settings, const std::string& place, Findings& findings) {
  if (settings.key_header_length != 0 || settings.key_header_offset == 0) return;
  findings.add(pointer_to(place, "key_header_offset"),
               "means nothing without key_header_length; remove it, or give both",
               {pointer_to(place, "key_header_length")});
}

bool is_known(const Iso8583Spec& spec, std::uint32_t field) {
  return is_data_field(field) && spec.fields[field].encoding != FieldEncoding::none;
}

std::string not_a_key_field(std::uint32_t field) {
  const std::string number = std::to_string(field);
  return is_data_field(field) ? "field " + number + " is not in the field specification"
                              : "field " + number + " is a bitmap; name a field that holds data";
}

// `fields` are those of one key; `place` points at them.
void check_key_fields(const Iso8583Settings& settings, const std::vector<std::uint32_t>& fields,
                      const std::string& place, const std::string& iso8583, Findings& findings) {
  std::uint64_t length = std::uint64_t{kRuleAndMtiBytes} + settings.key_header_length;
  bool all_known = true;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::string entry = pointer_to(place, i);
    if (!is_known(*settings.fields, fields[i])) {
      findings.add(entry, not_a_key_field(fields[i]), {pointer_to(iso8583, "spec")});
      all_known = false;
      continue;
    }
    if (std::ranges::count(std::span(fields).first(i), fields[i]) > 0) {
      findings.add(entry, "field " + std::to_string(fields[i]) + " stands in this list already; remove it");
    }
    length += kFieldHeadBytes + settings.fields->fields[fields[i]].length;
  }
  if (!all_known || length <= kCorrelationKeyBytesMax) return;
  findings.add(place,
               "a key of these fields can be " + std::to_string(length) + " bytes long (" +
                   std::to_string(kRuleAndMtiBytes) + ", key_header_length, and " + std::to_string(kFieldHeadBytes) +
                   " more than each field's length), the longest is " + std::to_string(kCorrelationKeyBytesMax) +
                   "; leave out a field, or lower its length in a field specification of your own",
               {pointer_to(iso8583, "spec"), pointer_to(iso8583, "key_header_length")});
}

// Whether some message has this MTI, or the start of one, after mti_map.
bool can_be_mapped_to(const Iso8583Settings& settings, std::string_view mti) {
  for (std::size_t i = 0; i < std::min(mti.size(), kMtiKeyDigits); ++i) {
    if (settings.mti_map[i].find(mti[i]) == std::string::npos) return false;
  }
  return true;
}

void check_key_rules(const Iso8583Settings& settings, const std::string& place, Findings& findings) {
  for (std::size_t i = 0; i < settings.key_rules.size(); ++i) {
    const KeyRule& rule = settings.key_rules[i];
    const std::string entry = pointer_to(pointer_to(place, "key_rules"), i);
    check_key_fields(settings, rule.fields, pointer_to(entry, "fields"), place, findings);
    if (!rule.processing_code.empty() && !is_known(*settings.fields, 3)) {
      findings.add(pointer_to(entry, "processing_code"), "field 3 is not in the field specification",
                   {pointer_to(place, "spec")});
    }
    if (has_mti_map(settings) && !can_be_mapped_to(settings, rule.mti)) {
      findings.add(pointer_to(entry, "mti"),
                   "no message has this type after mti_map, in which a request and its response count as the same; "
                   "give that one, such as \"020\" for 0200 and 0210",
                   {pointer_to(place, "mti_map")});
    }
  }
}

void check_key_padding(const Iso8583Settings& settings, const std::string& place, Findings& findings) {
  for (std::size_t i = 0; i < settings.key_padding.size(); ++i) {
    const KeyPadding& padding = settings.key_padding[i];
    const std::string field = pointer_to(pointer_to(pointer_to(place, "key_padding"), i), "field");
    const auto earlier = std::span(settings.key_padding).first(i);
    if (!is_known(*settings.fields, padding.field)) {
      findings.add(field, not_a_key_field(padding.field), {pointer_to(place, "spec")});
    } else if (std::ranges::count(earlier, padding.field, &KeyPadding::field) > 0) {
      findings.add(field, "field " + std::to_string(padding.field) + " has a padding already; remove one of the two");
    }
  }
}

}  // namespace

void check_iso8583(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  if (upstream.correlation.kind != CorrelationKind::iso8583) {
    return check_no_iso8583_messages(upstream, pointer, findings);
  }
  const Iso8583Settings& settings = upstream.correlation.iso8583;
  const std::string place = pointer_to(pointer_to(pointer, "correlation"), "iso8583");
  if (settings.header_format == HeaderFormat::fixed) check_fixed_header(settings, place, findings);
  if (settings.header_format == HeaderFormat::base1) check_base1_header(settings, place, findings);
  check_key_header(settings, place, findings);
  if (settings.spec.empty()) {
    findings.add(pointer_to(place, "spec"),
                 "is missing: give \"1987_ascii\", \"1987_binary\", \"1993_ascii\", or the absolute path of a field "
                 "specification in JSON",
                 {pointer_to(pointer_to(pointer, "correlation"), "kind"), place});
  }
  if (settings.fields == nullptr) return;
  check_key_fields(settings, settings.key_fields, pointer_to(place, "key_fields"), place, findings);
  check_key_rules(settings, place, findings);
  check_key_padding(settings, place, findings);
  if (has_mti_map(settings)) check_iso8583_messages(upstream, pointer, findings);
}

}  // namespace tlsmux::config
