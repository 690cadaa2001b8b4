#pragma once

// The table at the end, and the line for scripts.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/demo/audit.hpp"
#include "tests/demo/host_report.hpp"
#include "tests/demo/own_connection.hpp"
#include "tests/demo/process_memory.hpp"
#include "tests/demo/screen.hpp"
#include "tests/demo/tally.hpp"

namespace tlsmux::demo {

struct Figures {
  std::vector<Account> accounts;
  HostTotals hosts;
  std::uint64_t messages_at_a = 0;
  std::uint64_t messages_at_b = 0;
  std::optional<SegmentMemory> segment;  // of one authorizer
  std::uint64_t library_kb = 0;          // that an authorizer's own memory grew by from attaching on, on average
  std::uint64_t engine_kb = 0;           // anonymous memory of the engine
  OwnConnection own;
};

void print_outcomes(Screen& screen, const Figures& figures);
void print_costs(Screen& screen, const Figures& figures);

// answered=N not_sent=N maybe_sent=N processes=N handshakes=N, over the survivors.
std::string result_line(const Figures& figures);

}  // namespace tlsmux::demo
