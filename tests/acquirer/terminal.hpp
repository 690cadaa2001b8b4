#pragma once

// A payment terminal's side in the test's own process: authorization requests and their answers.

#include <cstdint>
#include <string>

#include "tests/system/requester.hpp"

namespace tlsmux::test {

// Whether `answer` is that of host::request(trace_number): response type, fields that a host sends back.
bool is_answer_to(const std::string& answer, std::uint32_t trace_number);

// Asks host::request(trace_number) and waits. An answer must be the request's own.
Ended authorize(Requester& requester, std::uint32_t trace_number, std::uint32_t timeout_ms = 0);

}  // namespace tlsmux::test
