#include "engine/tls/certificate_words.hpp"

#include <mbedtls/x509.h>

#include <array>
#include <chrono>
#include <cstdio>

namespace tlsmux::engine::tls {

std::string time_text(const mbedtls_x509_time& time) { return time_text(epoch_seconds(time)); }

std::string time_text(std::int64_t epoch_s) {
  const std::chrono::sys_seconds moment{std::chrono::seconds(epoch_s)};
  const auto day = std::chrono::floor<std::chrono::days>(moment);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(moment - day);
  std::array<char, 40> text{};
  static_cast<void>(std::snprintf(text.data(), text.size(), "%04d-%02u-%02u %02d:%02d UTC", int{date.year()},
                                  unsigned{date.month()}, unsigned{date.day()}, static_cast<int>(clock.hours().count()),
                                  static_cast<int>(clock.minutes().count())));
  return text.data();
}

// mbedTLS escapes what is not printable.
std::string name_text(const mbedtls_x509_name& name) {
  std::array<char, 160> text{};
  const int size = mbedtls_x509_dn_gets(text.data(), text.size(), &name);
  return size > 0 ? text.data() : "a very long name";
}

std::int64_t epoch_seconds(const mbedtls_x509_time& time) {
  const std::chrono::year_month_day date{std::chrono::year(time.year),
                                         std::chrono::month(static_cast<unsigned>(time.mon)),
                                         std::chrono::day(static_cast<unsigned>(time.day))};
  const auto moment = std::chrono::sys_days(date) + std::chrono::hours(time.hour) + std::chrono::minutes(time.min) +
                      std::chrono::seconds(time.sec);
  return std::chrono::duration_cast<std::chrono::seconds>(moment.time_since_epoch()).count();
}

}  // namespace tlsmux::engine::tls
