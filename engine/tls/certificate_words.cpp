#include "engine/tls/certificate_words.hpp"

#include <mbedtls/x509.h>

#include <array>
#include <chrono>
#include <cstdio>

namespace tlsmux::engine::tls {

std::string time_text(const mbedtls_x509_time& time) {
  std::array<char, 40> text{};
  static_cast<void>(std::snprintf(text.data(), text.size(), "%04d-%02d-%02d %02d:%02d UTC", time.year, time.mon,
                                  time.day, time.hour, time.min));
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
