#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tlsmux::demo {

// What hosts counted, by the reports that tlsmux-host writes when it is stopped.
struct HostTotals {
  std::uint64_t handshakes = 0;
  std::uint64_t received = 0;
  std::uint64_t answered = 0;
};

// The sums. Throws std::runtime_error when one of the files is not there or no report.
HostTotals read_host_reports(const std::vector<std::string>& files);

}  // namespace tlsmux::demo
