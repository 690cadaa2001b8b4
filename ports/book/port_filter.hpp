#pragma once

// A program for the kernel's sock_diag that lets sockets with a local port of a set through: linux/inet_diag.h,
// INET_DIAG_REQ_BYTECODE. Every instruction jumps forward; who ends exactly at the program's end is through.

#include <linux/inet_diag.h>

#include <vector>

#include "ports/book/port_set.hpp"

namespace tlsmux::ports {

// The kernel checks it in the square of its length each time, so that it is kept short: of a set of more ranges, those
// that are nearest to each other are joined, and some sockets pass that have a port in between.
inline constexpr std::size_t kFilterRangesMax = 64;

// Of an empty set it is empty, and would let everything through.
std::vector<inet_diag_bc_op> make_port_filter(const PortSet& ports);

// The fewest ports more that make it up of at most `ranges_max` ranges.
std::vector<PortRange> coarsened(std::vector<PortRange> ranges, std::size_t ranges_max);

}  // namespace tlsmux::ports
