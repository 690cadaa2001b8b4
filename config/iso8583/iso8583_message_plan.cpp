#include "config/iso8583/iso8583_message_plan.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "config/ebcdic.hpp"
#include "config/iso8583/iso8583_value.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

struct PlaceholderName {
  std::string_view name;
  Placeholder placeholder;
  std::uint32_t digits;
};

constexpr std::array kPlaceholders = {
    PlaceholderName{"trace_number", Placeholder::trace_number, 6},
    PlaceholderName{"counter", Placeholder::counter, 6},
    PlaceholderName{"date_time", Placeholder::date_time, 10},
    PlaceholderName{"local_date", Placeholder::local_date, 4},
    PlaceholderName{"local_time", Placeholder::local_time, 6},
    PlaceholderName{"local_year", Placeholder::local_year, 2},
};
constexpr std::uint32_t kNumberDigitsMax = 18;  // all fit into 64 bits

// A value with zeros in place of its placeholders.
struct Expanded {
  std::string value;
  std::vector<PlaceholderDigits> placeholders;  // offset: in `value`
};

bool holds_bytes(const Iso8583Field& field) {
  return field.encoding == FieldEncoding::binary || field.encoding == FieldEncoding::hex;
}

std::expected<const PlaceholderName*, std::string> find_placeholder(std::string_view name) {
  const auto found = std::ranges::find(kPlaceholders, name, &PlaceholderName::name);
  if (found != kPlaceholders.end()) return &*found;
  std::array<std::string_view, kPlaceholders.size()> names;
  std::ranges::transform(kPlaceholders, names.begin(), &PlaceholderName::name);
  return std::unexpected("has an unknown placeholder " + in_quotes(name) + "; " + suggestion(name, names));
}

std::uint32_t digits_of(const PlaceholderName& found, const Iso8583Field& field, bool is_alone) {
  const bool is_number = found.placeholder == Placeholder::trace_number || found.placeholder == Placeholder::counter;
  if (!is_number || !is_alone || field.prefix != LengthPrefix::fixed) return found.digits;
  return std::min(field.length, kNumberDigitsMax);
}

std::expected<Expanded, std::string> expand(const Iso8583Field& field, std::string_view value) {
  Expanded expanded;
  std::string_view rest = value;
  while (!rest.empty()) {
    const std::size_t open = rest.find('{');
    expanded.value += rest.substr(0, open);
    if (open == std::string_view::npos) break;
    const std::size_t close = rest.find('}', open);
    if (close == std::string_view::npos) return std::unexpected("has a '{' without its '}'");
    if (holds_bytes(field)) return std::unexpected("is binary: there are no placeholders for it");
    const auto found = find_placeholder(rest.substr(open + 1, close - open - 1));
    if (!found) return std::unexpected(found.error());
    const bool is_alone = open == 0 && close + 1 == value.size();
    const std::uint32_t digits = digits_of(**found, field, is_alone);
    expanded.placeholders.push_back({.placeholder = (*found)->placeholder,
                                     .encoding = field.encoding,
                                     .field = 0,
                                     .offset = static_cast<std::uint32_t>(expanded.value.size()),
                                     .digits = digits});
    expanded.value.append(digits, '0');
    rest.remove_prefix(close + 1);
  }
  return expanded;
}

// Where the digit at `position` of a content of `length` units lies, in the unit of PlaceholderDigits::offset.
std::uint32_t digit_offset(const Iso8583Field& field, std::size_t content_at, std::size_t length,
                           std::size_t position) {
  if (field.encoding == FieldEncoding::bcd) position += length % 2;
  const bool nibbles = field.encoding == FieldEncoding::bcd || field.encoding == FieldEncoding::bcd_left;
  return static_cast<std::uint32_t>(nibbles ? 2 * content_at + position : content_at + position);
}

std::expected<void, std::string> add_field(const Iso8583Field& field, std::uint32_t number, std::string_view value,
                                           MessagePlan& plan) {
  auto expanded = expand(field, value);
  if (!expanded) return std::unexpected(expanded.error());
  auto content = content_of(field, expanded->value);
  if (!content) return std::unexpected(content.error());
  const std::size_t length = content->size();
  if (const auto padded = pad_content(field, *content); !padded) return padded;
  const std::size_t shift = field.padding == PaddingSide::left ? content->size() - length : 0;
  const std::size_t content_at = plan.bytes.size() + prefix_bytes(field);
  for (auto& digits : expanded->placeholders) {
    digits.field = static_cast<std::uint16_t>(number);
    digits.offset = digit_offset(field, content_at, content->size(), digits.offset + shift);
    plan.placeholders.push_back(digits);
  }
  const auto encoded = encode_field(field, *content);
  plan.bytes.insert(plan.bytes.end(), encoded.begin(), encoded.end());
  return {};
}

// VISA BASE I: bytes 3 and 4 of the header are the length of the whole message.
void set_base1_length(std::vector<std::uint8_t>& message) {
  if (message.size() < 5) return;
  message[3] = static_cast<std::uint8_t>(message.size() >> 8);
  message[4] = static_cast<std::uint8_t>(message.size());
}

}  // namespace

std::expected<std::vector<std::uint8_t>, MessagePlanError> plan_mti(const Iso8583Spec& spec, std::string_view mti) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (mti.size() != kIso8583MtiDigits || !std::ranges::all_of(mti, is_digit)) {
    return std::unexpected(MessagePlanError{.field = 0, .problem = "must be an MTI, four digits"});
  }
  return encode_field(spec.mti, std::vector<std::uint8_t>(mti.begin(), mti.end()));
}

std::expected<std::vector<std::uint8_t>, MessagePlanError> plan_field(const Iso8583Spec& spec, std::uint32_t number,
                                                                      std::string_view value) {
  const auto fail = [&](std::string problem) {
    return std::unexpected(MessagePlanError{.field = number, .problem = std::move(problem)});
  };
  if (!is_data_field(number)) return fail("is not a field that can hold data");
  const auto& field = spec.fields[number];
  if (!holds_bytes(field) && value.find('{') != std::string_view::npos) return fail("cannot hold placeholders here");
  auto content = content_of(field, value);
  if (!content) return fail(content.error());
  if (const auto padded = pad_content(field, *content); !padded) return fail(padded.error());
  return encode_field(field, *content);
}

std::optional<std::string> response_mti(std::string_view mti) {
  if (mti.size() != kIso8583MtiDigits || mti.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  if ((mti[2] - '0') % 2 != 0 || mti[2] == '8') return std::nullopt;  // 8 and 9 acknowledge
  std::string response(mti);
  ++response[2];
  // 1, 3 and 5 are the repeats of 0, 2 and 4; a response is none.
  if (response[3] == '1' || response[3] == '3' || response[3] == '5') --response[3];
  return response;
}

EncodedBitmaps encode_bitmaps(BitmapEncoding encoding, std::array<std::uint64_t, 3> fields) {
  constexpr std::uint64_t kAnotherFollows = std::uint64_t{1} << 63;
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (fields[2] != 0) fields[1] |= kAnotherFollows;
  if (fields[1] != 0) fields[0] |= kAnotherFollows;
  EncodedBitmaps encoded;
  const auto put = [&](std::uint64_t value) { encoded.bytes[encoded.length++] = static_cast<std::uint8_t>(value); };
  for (const std::uint64_t word : fields) {
    if (encoding == BitmapEncoding::binary) {
      for (int shift = 56; shift >= 0; shift -= 8) put(word >> shift);
    } else {
      for (int shift = 60; shift >= 0; shift -= 4) {
        const auto digit = static_cast<std::uint8_t>(kDigits[(word >> shift) & 0x0f]);
        put(encoding == BitmapEncoding::ebcdic_hex ? kEbcdicOfCharacter[digit] : digit);
      }
    }
    if ((word & kAnotherFollows) == 0) break;
  }
  return encoded;
}

std::expected<MessagePlan, MessagePlanError> plan_message(const Iso8583Settings& settings,
                                                          const MessageSettings& message) {
  const auto& spec = *settings.fields;
  MessagePlan plan{.bytes = settings.header, .placeholders = {}};
  const auto mti = plan_mti(spec, message.mti);
  if (!mti) return std::unexpected(mti.error());
  plan.bytes.insert(plan.bytes.end(), mti->begin(), mti->end());
  std::array<std::uint64_t, 3> present{};
  for (const auto& [number, value] : message.fields) {
    if (!is_data_field(number) || spec.fields[number].encoding == FieldEncoding::none) {
      return std::unexpected(MessagePlanError{.field = number, .problem = "is not in the field specification"});
    }
    present[(number - 1) / 64] |= std::uint64_t{1} << (63 - (number - 1) % 64);
  }
  const auto bitmaps = encode_bitmaps(spec.bitmap, present);
  plan.bytes.insert(plan.bytes.end(), bitmaps.bytes.begin(), bitmaps.bytes.begin() + bitmaps.length);
  for (const auto& [number, value] : message.fields) {
    if (const auto added = add_field(spec.fields[number], number, value, plan); !added) {
      return std::unexpected(MessagePlanError{.field = number, .problem = added.error()});
    }
  }
  if (settings.header_format == HeaderFormat::base1) set_base1_length(plan.bytes);
  return plan;
}

}  // namespace tlsmux::config
