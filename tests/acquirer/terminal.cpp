#include "tests/acquirer/terminal.hpp"

#include <algorithm>
#include <array>

#include <doctest/doctest.h>

#include "tests/host/test_messages.hpp"

namespace tlsmux::test {

bool is_answer_to(const std::string& answer, std::uint32_t trace_number) {
  constexpr std::array kSentBack = {2U, 3U, 4U, 7U, 11U, 37U, 41U, 42U, 49U};
  const auto request = host::request(trace_number);
  return host::field(answer, 0) == "0110" && std::ranges::all_of(kSentBack, [&](unsigned number) {
           return host::field(answer, number) == host::field(request, number);
         });
}

Ended authorize(Requester& requester, std::uint32_t trace_number, std::uint32_t timeout_ms) {
  auto ended = requester.ask(host::request(trace_number), timeout_ms);
  if (ended.outcome == TMX_ANSWERED) CHECK(is_answer_to(ended.answer, trace_number));
  return ended;
}

}  // namespace tlsmux::test
