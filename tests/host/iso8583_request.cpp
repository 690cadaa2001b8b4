#include "tests/host/iso8583_request.hpp"

#include "shm/assert.hpp"
#include "tests/host/iso8583_ascii.hpp"

namespace tlsmux::host {
namespace {

std::string zero_padded(std::uint64_t value, std::size_t digits) {
  std::string text(digits, '0');
  for (std::size_t i = digits; i > 0 && value > 0; --i, value /= 10) text[i - 1] = static_cast<char>('0' + value % 10);
  return text;
}

std::string space_padded(std::string_view value, std::size_t length) {
  std::string text(value.substr(0, length));
  text.resize(length, ' ');
  return text;
}

struct CalendarTime {
  unsigned year, day_of_year, month, day, hour, minute, second;
};

CalendarTime calendar_time(std::chrono::sys_seconds time) {
  using namespace std::chrono;
  const auto midnight = floor<days>(time);
  const year_month_day date(midnight);
  const hh_mm_ss clock(time - midnight);
  const auto new_year = sys_days(date.year() / January / 1);
  return {static_cast<unsigned>(static_cast<int>(date.year())),
          static_cast<unsigned>((midnight - new_year).count() + 1),
          static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()),
          static_cast<unsigned>(clock.hours().count()),
          static_cast<unsigned>(clock.minutes().count()),
          static_cast<unsigned>(clock.seconds().count())};
}

std::string month_day(const CalendarTime& time) { return zero_padded(time.month * 100 + time.day, 4); }

std::string hour_minute_second(const CalendarTime& time) {
  return zero_padded(time.hour * 10000 + time.minute * 100 + time.second, 6);
}

std::string built(const Message& message) {
  std::string bytes;
  const auto result = build(message, bytes);
  TMX_ASSERT(result.has_value());
  return bytes;
}

}  // namespace

char luhn_check_digit(std::string_view digits) {
  unsigned sum = 0;
  bool doubled = true;
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit, doubled = !doubled) {
    const auto value = static_cast<unsigned>(*digit - '0') * (doubled ? 2 : 1);
    sum += value / 10 + value % 10;
  }
  return static_cast<char>('0' + (10 - sum % 10) % 10);
}

std::string test_account_number(std::uint64_t account) {
  std::string digits = "400000" + zero_padded(account % 1'000'000'000, 9);
  digits.push_back(luhn_check_digit(digits));
  return digits;
}

std::string retrieval_reference(std::chrono::sys_seconds time, std::uint32_t trace_number) {
  const auto calendar = calendar_time(time);
  return zero_padded(calendar.year % 10, 1) + zero_padded(calendar.day_of_year, 3) + zero_padded(calendar.hour, 2) +
         zero_padded(trace_number, 6);
}

std::string build_authorization(const AuthorizationRequest& request) {
  const auto calendar = calendar_time(request.time);
  const std::string date = month_day(calendar);
  const std::string clock = hour_minute_second(calendar);
  const std::string transmission = date + clock;
  const std::string amount = zero_padded(request.amount_minor_units, 12);
  const std::string trace = zero_padded(request.trace_number, 6);
  const std::string reference = retrieval_reference(request.time, request.trace_number);
  const std::string terminal = space_padded(request.terminal, 8);
  const std::string merchant = space_padded(request.merchant, 15);

  Message message;
  message.type = request.type;
  message.set(2, request.account_number);
  message.set(3, request.processing_code);
  message.set(4, amount);
  message.set(7, transmission);
  message.set(11, trace);
  message.set(12, clock);
  message.set(13, date);
  message.set(14, request.expiry);
  message.set(18, request.merchant_type);
  message.set(22, request.entry_mode);
  message.set(25, request.condition_code);
  message.set(32, request.acquirer);
  message.set(37, reference);
  message.set(41, terminal);
  message.set(42, merchant);
  message.set(49, request.currency);
  if (!request.original_data.empty()) message.set(90, request.original_data);
  return built(message);
}

std::string build_network_management(std::string_view information_code, std::uint32_t trace_number,
                                     std::chrono::sys_seconds time, std::string_view type) {
  const auto calendar = calendar_time(time);
  const std::string transmission = month_day(calendar) + hour_minute_second(calendar);
  const std::string trace = zero_padded(trace_number, 6);
  Message message;
  message.type = type;
  message.set(7, transmission);
  message.set(11, trace);
  message.set(70, information_code);
  return built(message);
}

}  // namespace tlsmux::host
