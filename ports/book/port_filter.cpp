#include "ports/book/port_filter.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>

namespace tlsmux::ports {
namespace {

constexpr std::size_t kOperationBytes = sizeof(inet_diag_bc_op);
constexpr std::size_t kComparisonBytes = 2 * kOperationBytes;  // the second holds the port
constexpr std::size_t kRangeBytes = 2 * kComparisonBytes + kOperationBytes;

std::size_t program_bytes(std::size_t ranges) { return ranges * kRangeBytes + (ranges - 1) * kComparisonBytes; }

void compare(std::vector<inet_diag_bc_op>& program, std::uint8_t code, std::uint16_t port, std::size_t no_bytes) {
  program.push_back({.code = code, .yes = kComparisonBytes, .no = static_cast<std::uint16_t>(no_bytes)});
  program.push_back({.code = INET_DIAG_BC_NOP, .yes = 0, .no = port});
}

// Halves the ranges until one is left, the upper half first; then in it: to the end, not in it: beyond the end.
// `after_bytes` of the program follow. Recursive: six deep for kFilterRangesMax.
void search(std::vector<inet_diag_bc_op>& program, std::span<const PortRange> ranges, std::size_t after_bytes) {
  if (ranges.size() == 1) {
    const auto beyond_end = kRangeBytes + after_bytes + kOperationBytes;
    compare(program, INET_DIAG_BC_S_GE, ranges[0].from, beyond_end);
    compare(program, INET_DIAG_BC_S_LE, ranges[0].to, beyond_end - kComparisonBytes);
    const auto to_end = static_cast<std::uint16_t>(kOperationBytes + after_bytes);
    program.push_back({.code = INET_DIAG_BC_JMP, .yes = kOperationBytes, .no = to_end});
    return;
  }
  const auto lower = ranges.first(ranges.size() / 2);
  const auto upper = ranges.subspan(lower.size());
  compare(program, INET_DIAG_BC_S_GE, upper[0].from, kComparisonBytes + program_bytes(upper.size()));
  search(program, upper, after_bytes + program_bytes(lower.size()));
  search(program, lower, after_bytes);
}

}  // namespace

std::vector<PortRange> coarsened(std::vector<PortRange> ranges, std::size_t ranges_max) {
  if (ranges.size() <= ranges_max) return ranges;
  const auto gap_before = [&](std::size_t at) { return ranges[at].from - ranges[at - 1].to; };
  std::vector<std::size_t> starts;  // of ranges that stay apart from the one before
  for (std::size_t at = 1; at < ranges.size(); ++at) starts.push_back(at);
  std::ranges::nth_element(starts, starts.begin() + static_cast<std::ptrdiff_t>(ranges_max - 1), std::greater{},
                           gap_before);
  starts.resize(ranges_max - 1);
  starts.push_back(ranges.size());
  std::ranges::sort(starts);

  std::vector<PortRange> joined;
  std::size_t from = 0;
  for (const auto next : starts) {
    joined.push_back({.from = ranges[from].from, .to = ranges[next - 1].to});
    from = next;
  }
  return joined;
}

std::vector<inet_diag_bc_op> make_port_filter(const PortSet& ports) {
  const auto ranges = coarsened(ports.ranges(), kFilterRangesMax);
  std::vector<inet_diag_bc_op> program;
  if (!ranges.empty()) search(program, ranges, 0);
  return program;
}

}  // namespace tlsmux::ports
