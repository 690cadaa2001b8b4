#pragma once

// The requests of the demo's authorizers. Authorizer and request number say all about one, so that nothing has to be
// kept to check its answer, and the conductor knows its key.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace tlsmux::demo {

inline constexpr unsigned kAuthorizers = 8;
// So that each request of the demo has a trace number (field 11) of its own.
inline constexpr std::uint32_t kRequestsMax = 999'999 / kAuthorizers;

// Of an authorizer, 0 to kAuthorizers - 1. Requests count from 0.
struct RequestId {
  unsigned authorizer = 0;
  std::uint32_t request = 0;
};

// Mostly authorizations (0100), some purchases (0200) and reversals (0400), from terminals of several merchants; and
// echo tests (0800), which bear no terminal (field 41).
[[nodiscard]] std::string build_request(RequestId id, std::chrono::sys_seconds time);

// Empty if these bytes answer this request; else what is wrong, without saying what any field holds.
[[nodiscard]] std::string what_is_wrong_with(std::string_view answer, RequestId id);

[[nodiscard]] std::uint32_t trace_number(RequestId id);

[[nodiscard]] bool is_echo_test(RequestId id);

// As in the record of tlsmux-host: fields 11 and 41 as far as they are there, in hexadecimal.
[[nodiscard]] std::string record_key(RequestId id);

}  // namespace tlsmux::demo
