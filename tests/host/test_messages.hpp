#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/host/host_process.hpp"
#include "tests/host/test_client.hpp"

// What tests exchange with a host. Failures throw std::runtime_error.
namespace tlsmux::host {

// An authorization request, or another type with the same fields, of the 13th of July 2026.
[[nodiscard]] std::string request(std::uint32_t trace_number, std::string_view type = "0100");

// 0800 with this field 70.
[[nodiscard]] std::string network_request(std::string_view information_code, std::uint32_t trace_number = 1);

// The answer to a request as a host expects it: the same fields, the response type and field 39.
[[nodiscard]] std::string answer_to(const std::string& request, std::string_view response_code = "00");

// A field's value, empty when absent; 0 is the message type.
[[nodiscard]] std::string field(const std::string& message, unsigned number);

std::string next_frame(TestClient& client);

// Sends the message and gives what comes next.
std::string ask(TestClient& client, std::string_view message);

// The trace numbers of the answers to `count` requests sent at once, in the order in which they come.
[[nodiscard]] std::vector<int> answer_order(const HostProcess& host, std::uint32_t count);

}  // namespace tlsmux::host
