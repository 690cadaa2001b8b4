#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

// Requests as an acquirer's authorizer would send them, with test card numbers, for the demo, tests and
// benchmarks.
namespace tlsmux::host {

// What varies between requests. The strings are padded or cut by build_authorization() where their field is
// fixed.
struct AuthorizationRequest {
  std::string_view type = "0100";   // 0100, 0200, 0400, 0420 and their repeats
  std::string_view account_number;  // digits, 19 at most; see test_account_number()
  std::string_view processing_code = "000000";
  std::uint64_t amount_minor_units = 0;
  std::uint32_t trace_number = 0;    // field 11, 1 to 999999
  std::chrono::sys_seconds time;     // fields 7, 12 and 13, all in UTC
  std::string_view expiry = "3012";  // YYMM
  std::string_view merchant_type = "5411";
  std::string_view entry_mode = "051";  // chip, PIN entry possible
  std::string_view condition_code = "00";
  std::string_view acquirer = "400123";
  std::string_view terminal = "TERM0001";
  std::string_view merchant = "MERCHANT0000001";
  std::string_view currency = "978";
  std::string_view original_data;  // field 90 of a reversal, 42 digits, left out when empty
};

// 16 digits of a range that no card is issued from (4000 00), valid by the Luhn check. Only `account` modulo
// 1,000,000,000 counts.
[[nodiscard]] std::string test_account_number(std::uint64_t account);

// The check digit that makes `digits` followed by it valid (ISO/IEC 7812-1, annex B).
[[nodiscard]] char luhn_check_digit(std::string_view digits);

// The retrieval reference number as commonly made: last digit of the year, day of the year, hour, trace
// number.
[[nodiscard]] std::string retrieval_reference(std::chrono::sys_seconds time, std::uint32_t trace_number);

// The message's bytes, unframed. With a 16-digit account number and no original_data field 11 lies at bytes
// 66 to 71, in the answer too. A value that no field can hold is the caller's bug and asserted on.
[[nodiscard]] std::string build_authorization(const AuthorizationRequest& request);

// 0800 or the given type: sign-on ("001"), sign-off ("002"), echo test ("301") and the like in field 70.
[[nodiscard]] std::string build_network_management(std::string_view information_code, std::uint32_t trace_number,
                                                   std::chrono::sys_seconds time, std::string_view type = "0800");

}  // namespace tlsmux::host
