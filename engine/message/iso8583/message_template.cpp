#include "engine/message/iso8583/message_template.hpp"

#include <algorithm>
#include <chrono>

#include "config/ebcdic.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine::message::iso8583 {
namespace {

using config::FieldEncoding;
using config::Placeholder;

constexpr std::uint64_t kNoNumber = ~std::uint64_t{0};

struct Date {
  std::uint64_t year = 0;  // the last two digits
  std::uint64_t month_day = 0;
  std::uint64_t time = 0;  // hhmmss
};

// Proleptic Gregorian, without leap seconds, as Unix time is.
Date date_of(std::int64_t unix_s) {
  const std::chrono::sys_seconds moment{std::chrono::seconds{unix_s}};
  const auto day = std::chrono::floor<std::chrono::days>(moment);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{moment - day};
  const auto year = (static_cast<int>(date.year()) % 100 + 100) % 100;
  return {.year = static_cast<std::uint64_t>(year),
          .month_day = 100 * std::uint64_t{unsigned{date.month()}} + unsigned{date.day()},
          .time = static_cast<std::uint64_t>(10'000 * time.hours().count() + 100 * time.minutes().count() +
                                             time.seconds().count())};
}

std::uint64_t power_of_ten(std::uint32_t digits) {
  std::uint64_t power = 1;
  for (std::uint32_t i = 0; i < digits; ++i) power *= 10;
  return power;
}

// kNoNumber where it does not fit.
std::uint64_t number_for(const config::PlaceholderDigits& digits, const TemplateValues& values) {
  const std::uint64_t end = power_of_ten(digits.digits);
  switch (digits.placeholder) {
    case Placeholder::trace_number: return values.trace_number < end ? values.trace_number : kNoNumber;
    case Placeholder::counter: return values.counter % end;
    case Placeholder::date_time: {
      const Date utc = date_of(values.utc_s);
      return utc.month_day * 1'000'000 + utc.time;
    }
    case Placeholder::local_date: return date_of(values.utc_s + values.local_offset_s).month_day;
    case Placeholder::local_time: return date_of(values.utc_s + values.local_offset_s).time;
    case Placeholder::local_year: return date_of(values.utc_s + values.local_offset_s).year;
  }
  return kNoNumber;
}

bool is_bcd(FieldEncoding encoding) { return encoding == FieldEncoding::bcd || encoding == FieldEncoding::bcd_left; }

void put_digit(FieldEncoding encoding, std::uint32_t offset, std::uint8_t digit, std::span<std::byte> out) {
  switch (encoding) {
    case FieldEncoding::bcd:
    case FieldEncoding::bcd_left: {
      std::byte& byte = out[offset / 2];
      byte = offset % 2 == 0 ? (byte & std::byte{0x0f}) | std::byte(digit << 4)
                             : (byte & std::byte{0xf0}) | std::byte{digit};
      return;
    }
    case FieldEncoding::ebcdic: out[offset] = std::byte{config::kEbcdicOfCharacter[std::size_t{'0'} + digit]}; return;
    default: out[offset] = static_cast<std::byte>('0' + digit);
  }
}

config::MessagePlan plan_of(const config::Iso8583Settings& settings, const config::MessageSettings& message) {
  TMX_ASSERT(settings.fields != nullptr);
  auto plan = config::plan_message(settings, message);
  TMX_ASSERT(plan.has_value());
  return *std::move(plan);
}

}  // namespace

MessageTemplate::MessageTemplate(const config::Iso8583Settings& settings, const config::MessageSettings& message)
    : plan_(plan_of(settings, message)), expected_(settings, message.expect) {}

std::expected<std::size_t, Iso8583Error> MessageTemplate::build(const TemplateValues& values,
                                                                std::span<std::byte> out) const {
  if (out.size() < plan_.bytes.size()) {
    return std::unexpected(
        Iso8583Error{.kind = Iso8583ErrorKind::no_room, .field = 0, .offset = static_cast<std::uint32_t>(out.size())});
  }
  std::ranges::transform(plan_.bytes, out.begin(), [](std::uint8_t byte) { return std::byte{byte}; });
  for (const auto& digits : plan_.placeholders) {
    std::uint64_t number = number_for(digits, values);
    if (number == kNoNumber) {
      const auto offset = is_bcd(digits.encoding) ? digits.offset / 2 : digits.offset;
      return std::unexpected(Iso8583Error{.kind = Iso8583ErrorKind::too_long, .field = digits.field, .offset = offset});
    }
    for (std::uint32_t i = digits.digits; i > 0; --i, number /= 10) {
      put_digit(digits.encoding, digits.offset + i - 1, static_cast<std::uint8_t>(number % 10), out);
    }
  }
  return plan_.bytes.size();
}

std::expected<std::optional<std::uint16_t>, Iso8583Error> MessageTemplate::check_answer(
    std::span<const std::byte> answer) const {
  return expected_.first_difference(answer);
}

}  // namespace tlsmux::engine::message::iso8583
